"""What processes of a test have in common: where each is started, and that it can be killed, paused and started again.

A process is ended by its own process id, never by its name.
"""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how a process is started.

    Args:
        host: the address that it listens on, and is found at.
        prefix: of its command, such as `("ip", "netns", "exec", "left")`: programs that become what they start (exec),
            as their process id is taken for its.
        environment: beside this process's own.
        directory: for its data alone, such as a file system of its own; None leaves that to whoever starts it.
    """

    host: str = "127.0.0.1"
    prefix: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None


HERE: Final = Site()


class Member(ABC):
    """A process that may be killed, stopped or paused, and started again with the same data.

    Args:
        name: what it is called.
        site: where and how it is started.
    """

    def __init__(self, name: str, site: Site) -> None:
        self.name = name
        self.site = site
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> Self:
        """Start it and wait until it does its part.

        Raises:
            ProcessFailed: it ended, or was not ready in time; the message carries what it wrote.
        """

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM, then wait until it has ended; nothing happens when it does not run.

        Raises:
            ProcessFailed: it did not end in time (it is killed then), or ended with an error.
        """
        process, self._process = self._process, None
        if process is not None:
            stop_process(process)

    def kill(self) -> None:
        """SIGKILL, as a power cut would, and wait until the process is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)

    def pause(self) -> None:
        """SIGSTOP: the kernel still takes its connections, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """The process first, as it may start others, then those that it has started."""
        for pid in (self.pid, *children_of(self.pid)):
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid, number)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessFailed(f"{self.name} does not run.")
        return self._process


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that run; none where it has ended. Linux tells."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class ProcessFailed(RuntimeError):
    """A process of the lab did not start, did not stop, or refused a command; the message carries what it wrote."""


def stop_process(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """Ask a process to end, also a paused one, and wait for it; one that does not is killed, and that is a failure.

    Returns:
        Its exit code.
    """
    with suppress(ProcessLookupError):
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        raise ProcessFailed(f"Process {process.pid} did not end within {STOP_TIMEOUT_S:.0f} s of {how.name}.") from None

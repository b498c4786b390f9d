"""Cores, CPU time and memory, as Linux tells them."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Cores(NamedTuple):
    """Which core the server has, and which the load generator."""

    server: int
    generator: int

    @property
    def are_shared(self) -> bool:
        """Whether both have the same, so that only CPU times mean anything."""
        return self.server == self.generator


def choose_cores() -> Cores:
    """Two of those that this process may use, if there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this thread, and every process it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """Let a process stand still, so that nothing of it runs meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def cpu_s(pid: int) -> float:
    """The CPU time that a process and all its threads have used, in user mode and in the kernel."""
    # the name of the program stands in parentheses and may hold spaces: what counts comes after it
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, kernel = int(after_name[11]), int(after_name[12])
    return (user + kernel) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """The memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES

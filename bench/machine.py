"""Cores, CPU time and memory, as Linux tells them."""

from __future__ import annotations

import os
import platform
import re
import signal
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.testing.member import children_of

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
def unpinned() -> Iterator[None]:
    """Let every process that is started meanwhile have all cores of the machine."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def halt(pid: int) -> None:
    """Let a process stand still, so that nothing of it runs until it may go on."""
    os.kill(pid, signal.SIGSTOP)


def go_on(pid: int) -> None:
    """Let it run again."""
    os.kill(pid, signal.SIGCONT)


def cpu_s(pid: int) -> float:
    """The CPU time that a process and all its threads have used, in user mode and in the kernel."""
    return _times_s(pid)[0]


def tree_cpu_s(pid: int) -> float:
    """The same of a process with all that it has started, those included that have ended."""
    own_s, ended_s = _times_s(pid)
    return own_s + ended_s + sum(map(_of_child, children_of(pid)))


def _of_child(pid: int) -> float:
    try:
        return tree_cpu_s(pid)
    except (FileNotFoundError, ProcessLookupError):  # it ended just now: the next look finds it among those that have
        return 0.0


def _times_s(pid: int) -> tuple[float, float]:
    """Of a process, and of its children that have ended."""
    # the name of the program stands in parentheses and may hold spaces: what counts comes after it
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, kernel, of_ended, kernel_of_ended = (int(field) for field in after_name[11:15])
    return (user + kernel) / _TICKS_PER_S, (of_ended + kernel_of_ended) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """The memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def description() -> str:
    """What this machine is, in a line."""
    names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()) or [platform.machine()]
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    return (
        f"{os.cpu_count()} cores ({names[0]}), {kib / (1 << 20):.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def busy() -> float:
    """How many cores all processes of the machine used in the last minute."""
    return os.getloadavg()[0]

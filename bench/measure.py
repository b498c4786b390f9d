"""One measurement: a load on a server, and what the server spent on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import load, machine

if TYPE_CHECKING:
    from collections.abc import Iterable

_WARM_UP: Final = 0.25
"""How long to warm up, as a part of the measurement's own time."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Args:
        cpu_us: CPU time of the server for each request: all its threads, and what the kernel did for them.
        busy: which part of its core the load generator used.
    """

    name: str
    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    busy: float
    note: str = ""

    @property
    def per_core_s(self) -> float:
        """Requests for each second of CPU time."""
        return 1e6 / self.cpu_us


@dataclass(slots=True)
class Server:
    """Where to send, and whose CPU time to count.

    Attributes:
        replies: the bodies of the last measurement, where they were to be kept.
    """

    port: int
    pid: int
    replies: list[bytes] = field(default_factory=list)

    def measure(
        self, name: str, requests: Iterable[bytes], status: int, seconds: float, *, keep: bool = False, note: str = ""
    ) -> Result:
        """Warm up, then measure for so many seconds, or until there are no more requests."""
        source = iter(requests)
        warm = load.run(self.port, source, status, seconds=seconds * _WARM_UP, keep=keep)
        before_s = machine.cpu_s(self.pid)
        done = load.run(self.port, source, status, seconds=seconds, keep=keep)
        cpu_s = machine.cpu_s(self.pid) - before_s
        self.replies = warm.replies + done.replies
        percentiles = done.percentile_ms(50), done.percentile_ms(99)
        return Result(name, done.requests, done.per_s, *percentiles, cpu_s / done.requests * 1e6, done.busy, note)

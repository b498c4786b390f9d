"""One measurement: a load on a server, and what the server spent on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from bench import load, machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_WARM_UP: Final = 0.25
"""How long to warm up, as a part of the measurement's own time."""

_TURNS: Final = 4
"""How often a measurement and its limit take turns: what else the machine does meets both alike."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Args:
        cpu_us: CPU time of the server for each request: all its threads, and what the kernel did for them.
        busy: which part of its core the load generator used.
        limit_us: what a request to the limit cost meanwhile; None where the two did not take turns.
    """

    name: str
    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    busy: float
    note: str = ""
    limit_us: float | None = None

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
        done, cpu_s = self.turn(source, status, seconds, keep=keep)
        self.replies = warm.replies + done.replies
        return replace(_result(name, [done], cpu_s), note=note)

    def beside(self, limit: Limit, name: str, requests: Iterator[bytes], status: int, seconds: float) -> Result:
        """Warm up, then measure in turns with the limit, which has the core for itself in its own."""
        load.run(self.port, requests, status, seconds=seconds * _WARM_UP)
        done: list[load.Load] = []
        cpu_s, limit_us = 0.0, 0.0
        for _ in range(_TURNS):
            with machine.halted(self.pid):
                of_limit, limit_cpu_s = limit.server.turn(limit.requests, status, seconds / _TURNS)
            ours, our_cpu_s = self.turn(requests, status, seconds / _TURNS)
            done.append(ours)
            cpu_s += our_cpu_s
            limit_us += limit_cpu_s / of_limit.requests * 1e6 / _TURNS
        return replace(_result(name, done, cpu_s), limit_us=limit_us)

    def turn(
        self, requests: Iterator[bytes], status: int, seconds: float, *, keep: bool = False
    ) -> tuple[load.Load, float]:
        """One stretch of load: what came of it, and the CPU time it took."""
        before_s = machine.cpu_s(self.pid)
        done = load.run(self.port, requests, status, seconds=seconds, keep=keep)
        return done, machine.cpu_s(self.pid) - before_s


@dataclass(frozen=True, slots=True)
class Limit:
    """The bare server, and what it is asked; without end."""

    server: Server
    requests: Iterator[bytes]
    body_bytes: int


def _result(name: str, turns: Sequence[load.Load], cpu_s: float) -> Result:
    """One line of what was done in one turn or in several."""
    wall_s = sum(turn.wall_s for turn in turns)
    busy = sum(turn.busy * turn.wall_s for turn in turns) / wall_s
    whole = load.Load(wall_s, busy, sorted(latency for turn in turns for latency in turn.latencies_s), [])
    percentiles = whole.percentile_ms(50), whole.percentile_ms(99)
    return Result(name, whole.requests, whole.per_s, *percentiles, cpu_s / whole.requests * 1e6, busy)

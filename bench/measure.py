"""Turns: all that are compared take short turns at one workload, so that what else the machine does meets all alike.

Whoever has no turn is halted, so that nothing of it runs meanwhile. What is told of each is the sum of its turns.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bench import load, machine, open_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WARM_UP: Final = 0.25
"""How long to warm up, as a part of a side's own time."""


class Turn(NamedTuple):
    """What came of one turn.

    Args:
        own_s: CPU time of the application process, all its threads, and what the kernel did for them.
        other_s: of the servers behind it: the database, the payload log.
    """

    done: load.Load
    own_s: float
    other_s: float


class Side(Protocol):
    """One of those that are compared."""

    name: str

    def turn(self, seconds: float, clients: int) -> Turn:
        """Work for so long."""
        ...

    def halt(self) -> None:
        """Stand still until `go_on`."""
        ...

    def go_on(self) -> None:
        """Run again."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: one side at one workload.

    Args:
        clients: in a closed loop; 0 in an open one.
        rate: requests a second that fell due in an open loop; 0 in a closed one.
        own_us: CPU time of the application process for each request.
        other_us: of the servers behind it.
        busy: which part of its core the load generator used.
    """

    workload: str
    side: str
    clients: int
    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    own_us: float
    other_us: float
    busy: float
    rate: float = 0.0

    @property
    def all_us(self) -> float:
        """CPU time of everything for each request."""
        return self.own_us + self.other_us

    @property
    def per_core_s(self) -> float:
        """Requests for each second of CPU time of everything."""
        return 1e6 / self.all_us


@dataclass(slots=True)
class Server:
    """A side that answers HTTP: where to send what, and whose CPU time to count.

    Args:
        behind_s: the CPU time of the servers behind it so far.
        rate: of an open loop, requests a second; None: a closed one.
        kept: the bodies of the replies, where they are to be kept.
    """

    name: str
    port: int
    pid: int
    behind_s: Callable[[], float]
    requests: Iterator[bytes]
    status: int | None
    rate: float | None = None
    keep: bool = False
    kept: list[bytes] = field(default_factory=list)

    def turn(self, seconds: float, clients: int) -> Turn:
        """See `Side.turn`."""
        own_s, other_s = machine.cpu_s(self.pid), self.behind_s()
        if self.rate is None:
            done = load.run(self.port, self.requests, self.status, seconds=seconds, clients=clients, keep=self.keep)
        else:
            done = open_loop.run(self.port, self.requests, self.status, seconds=seconds, rate=self.rate)
        self.kept += done.replies
        return Turn(done, machine.cpu_s(self.pid) - own_s, self.behind_s() - other_s)

    def halt(self) -> None:
        """See `Side.halt`."""
        machine.halt(self.pid)

    def go_on(self) -> None:
        """See `Side.go_on`."""
        machine.go_on(self.pid)


def take_turns(
    workload: str, sides: Sequence[Side], *, seconds: float, turns: int, clients: int = load.CLIENTS
) -> list[Result]:
    """Warm each side up, then let them take turns; one result for each that was asked anything.

    Args:
        seconds: for each side in all.
    """
    taken: list[list[Turn]] = [[] for _ in sides]
    with _all_halted(sides):
        for number in range(turns + 1):
            for side, of_side in zip(sides, taken, strict=True):
                length_s = seconds / turns if number else seconds * WARM_UP
                turn = _let(side, length_s, clients)
                if number and turn.done.requests:
                    of_side.append(turn)
    return [summed(workload, side, of_side, clients) for side, of_side in zip(sides, taken, strict=True) if of_side]


def _let(side: Side, seconds: float, clients: int) -> Turn:
    side.go_on()
    try:
        return side.turn(seconds, clients)
    finally:
        side.halt()


@contextmanager
def _all_halted(sides: Sequence[Side]) -> Iterator[None]:
    for side in sides:
        side.halt()
    try:
        yield
    finally:
        for side in sides:
            side.go_on()


def summed(workload: str, side: Side, turns: Sequence[Turn], clients: int) -> Result:
    """One line of the turns of one side."""
    wall_s = sum(turn.done.wall_s for turn in turns)
    busy = sum(turn.done.busy * turn.done.wall_s for turn in turns) / wall_s
    whole = load.Load(wall_s, busy, sorted(latency for turn in turns for latency in turn.done.latencies_s), [])
    own_us, other_us = (
        sum(spent) / whole.requests * 1e6
        for spent in ([turn.own_s for turn in turns], [turn.other_s for turn in turns])
    )
    rate = getattr(side, "rate", None) or 0.0
    percentiles = whole.percentile_ms(50), whole.percentile_ms(99)
    in_loop = 0 if rate else clients
    return Result(workload, side.name, in_loop, whole.requests, whole.per_s, *percentiles, own_us, other_us, busy, rate)

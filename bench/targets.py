"""What was promised, as a table: which two results are held against each other, how, and what it must come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.contest import BARE, DIY, POSTGRES, SLOW, SQLITE
from bench.pgbench import LINK
from bench.told import SLOW_SYNCS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.measure import Result
    from bench.told import Told

SPREAD: Final = 0.25
RSS_BYTES: Final = 120 << 20
IMPORT_MS: Final = 150.0


def core_of_application(ours: Result, theirs: Result) -> float:
    """Requests for each second of CPU of the application process alone: ours to theirs."""
    return theirs.own_us / ours.own_us


def core_of_all(ours: Result, theirs: Result) -> float:
    """The same, with the CPU of the servers behind it."""
    return theirs.all_us / ours.all_us


def throughput(ours: Result, theirs: Result) -> float:
    """Requests a second: ours to theirs."""
    return ours.per_s / theirs.per_s


def tail(ours: Result, theirs: Result) -> float:
    """The latency that 99 of 100 stay under: ours to theirs."""
    return ours.p99_ms / theirs.p99_ms


class Which(NamedTuple):
    """A result: workload, side, clients."""

    workload: str
    side: str
    clients: int = 64


@dataclass(frozen=True, slots=True)
class Target:
    """One promise.

    Args:
        must: at least so much; at most where `is_cap`.
        aim: what it is hoped to be.
        shown: how to write the number down: "%" or "x".
    """

    name: str
    ours: Which
    theirs: Which
    ratio: Callable[[Result, Result], float]
    must: float
    aim: float | None = None
    shown: str = "x"
    is_cap: bool = False

    def is_kept(self, found: float) -> bool:
        """Whether it is what was promised."""
        return found <= self.must if self.is_cap else found >= self.must


def _against_diy(workload: str, must: float) -> Iterator[Target]:
    for engine in (SQLITE, POSTGRES):
        ours, theirs = Which(workload, engine), Which(workload, DIY)
        yield Target(f"{workload} on {engine} against DIY, per core-second", ours, theirs, core_of_all, must)


TARGETS: Final = (
    Target(
        "ingest on SQLite against bare ASGI, per core-second of the application",
        Which("ingest", SQLITE), Which("ingest", BARE), core_of_application, 0.35, 0.55, "%",
    ),
    Target(
        "ingest on PostgreSQL against bare ASGI, per core-second of the application",
        Which("ingest", POSTGRES), Which("ingest", BARE), core_of_application, 0.45, 0.60, "%",
    ),
    Target(
        "link on PostgreSQL against pgbench's five statements, per second",
        Which("link", POSTGRES), Which("link", LINK), throughput, 1.30, None, "%",
    ),
    *_against_diy("register", 8),
    *_against_diy("timeline", 12),
    *_against_diy("ingest", 25),
    *_against_diy("link", 12),
    Target(
        "p99 of ingest on SQLite against DIY's",
        Which("ingest", SQLITE), Which("ingest", DIY), tail, 0.02, None, "%", is_cap=True,
    ),
    Target(
        "p99 of ingest on PostgreSQL against DIY's",
        Which("ingest", POSTGRES), Which("ingest", DIY), tail, 0.02, None, "%", is_cap=True,
    ),
    Target(
        "ingest on PostgreSQL at 256 clients with syncs 2 ms longer, against the fast disk, per second",
        Which(SLOW_SYNCS, SLOW, 256), Which(SLOW_SYNCS, POSTGRES, 256), throughput, 0.90, None, "%",
    ),
)  # fmt: skip


class Checked(NamedTuple):
    """A promise beside what was found.

    Args:
        is_kept: None where it was not measured.
    """

    name: str
    promised: str
    found: str
    is_kept: bool | None


def check(told: Told) -> list[Checked]:
    """Every promise."""
    return [*(_checked(target, told) for target in TARGETS), *_growth(told), *_small(told)]


def _checked(target: Target, told: Told) -> Checked:
    ours, theirs = told.find(*target.ours), told.find(*target.theirs)
    least = "at most" if target.is_cap else "at least"
    aim = f", aim {_shown(target.aim, target.shown)}" if target.aim is not None else ""
    promised = f"{least} {_shown(target.must, target.shown)}{aim}"
    if ours is None or theirs is None:
        return Checked(target.name, promised, "not measured", None)
    found = target.ratio(ours, theirs)
    return Checked(target.name, promised, _shown(found, target.shown), target.is_kept(found))


def _shown(number: float, how: str) -> str:
    if how == "%":
        return f"{number:.1%}" if number < 0.1 else f"{number:.0%}"
    return f"{number:.1f} times" if number < 10 else f"{number:.0f} times"


def _growth(told: Told) -> Iterator[Checked]:
    sizes = sorted({one.users for one in told.grown})
    over = f" from {sizes[0]:,} to {sizes[-1]:,} users" if sizes else ""
    for side, workload in sorted({(one.side, one.workload) for one in told.grown}):
        spread = told.spread(workload, side)
        if spread is not None:
            name = f"CPU of a call{over}: {workload} on {side}"
            yield Checked(name, f"less than {SPREAD:.0%} apart", f"{spread:.0%}", spread < SPREAD)


def _small(told: Told) -> Iterator[Checked]:
    if told.rss_bytes:
        mib = f"{told.rss_bytes / (1 << 20):.0f} MiB"
        yield Checked("memory of the embedded platform", "less than 120 MiB", mib, told.rss_bytes < RSS_BYTES)
    if told.import_ms:
        ms = f"{told.import_ms:.0f} ms"
        yield Checked("import of unbroken.sdk", f"less than {IMPORT_MS:.0f} ms", ms, told.import_ms < IMPORT_MS)
        loaded = ", ".join(told.loaded) or "nothing"
        yield Checked("what of a server that loads", "nothing", loaded, not told.loaded)

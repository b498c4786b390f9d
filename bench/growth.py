"""What a call costs with ten thousand, a million and five million stored users, on SQLite and on PostgreSQL.

At each size a platform and the limit take turns at each workload. One engine after the other: the larger sizes fill
most of the machine's memory.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import contest, engines, measure
from bench.contest import BARE, POSTGRES, SQLITE, Contender, nothing_s, prepared
from bench.population import Population
from bench.subject import Platform
from bench.told import Grown
from bench.workloads import Workloads
from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.measure import Result
    from bench.told import Told

_WORKLOADS: Final = ("register", "link", "ingest", "timeline")
_clock = SystemClock()


def measure_growth(
    told: Told, directory: Path, core: int, sizes: Sequence[int], seconds: float, turns: int, say: Callable[[str], None]
) -> None:
    """Fill and measure, size after size, one engine after the other.

    Args:
        directory: where the platforms keep what is theirs.
        seconds: of each side at each workload.
    """
    growth = _Growth(told, core, sizes, seconds, turns, say)
    growth.measure(SQLITE, Platform(directory / "grown-0", core), nothing_s)
    shutil.rmtree(directory / "grown-0")
    with engines.database() as database:
        platform = Platform(directory / "grown-1", core, {"database_url": database.create("grown")})
        growth.measure(POSTGRES, platform, database.cpu_s)


@dataclass(frozen=True, slots=True)
class _Growth:
    """How it is measured; see `measure_growth`."""

    told: Told
    core: int
    sizes: Sequence[int]
    seconds: float
    turns: int
    say: Callable[[str], None]

    def measure(self, name: str, platform: Platform, behind_s: Callable[[], float]) -> None:
        """One engine, with the machine's memory for itself: two would push each other's pages out of it."""
        now_ms = _clock.now_ms()
        self.say(f"growth: {name} and its first person")
        people = Population(platform, now_ms)
        for number, size in enumerate(self.sizes):
            self.say(f"growth: storing {size:,} users in {name}")
            self.told.filled_s[f"{name}, {size:,} users"] = _timed(people, size)
            with platform.running():
                workloads = Workloads(people, now_ms, name=f"of-{size}", first_day=number)
                self.say(f"growth: calls with {size:,} users in {name}")
                self._at_one_size(prepared(name, platform, workloads, behind_s), size)

    def _at_one_size(self, contender: Contender, size: int) -> None:
        with contest.bare(self.core) as limit:
            for workload in _WORKLOADS:
                side = contender.side(workload)
                results = measure.take_turns(workload, [limit, side], seconds=self.seconds, turns=self.turns)
                contender.workloads.note(side.kept)
                self.told.grown.extend(at_size(results, size))


def _timed(population: Population, size: int) -> float:
    began_s = time.monotonic()
    population.grow(size)
    return round(time.monotonic() - began_s, 1)


def at_size(results: Sequence[Result], size: int) -> list[Grown]:
    """What one workload cost at one size, beside the limit."""
    (limit,) = (one for one in results if one.side == BARE)
    return [
        Grown(one.workload, one.side, size, one.own_us, one.all_us, limit.own_us) for one in results if one.side != BARE
    ]

"""What a call costs with ten thousand, a million and five million stored users, on SQLite and on PostgreSQL.

At each size the platforms and the limit take turns at each workload. Filling both engines goes on at the same time.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
    """Fill and measure, size after size.

    Args:
        directory: where the platforms keep what is theirs.
        seconds: of each side at each workload.
    """
    now_ms = _clock.now_ms()
    with engines.database() as database:
        say("growth: two platforms and their first person")
        platforms = {
            SQLITE: (Platform(directory / "grown-0", core), nothing_s),
            POSTGRES: (
                Platform(directory / "grown-1", core, {"database_url": database.create("grown")}),
                database.cpu_s,
            ),
        }
        people = {name: Population(platform, now_ms) for name, (platform, _) in platforms.items()}
        for number, size in enumerate(sizes):
            say(f"growth: storing {size:,} users")
            told.filled_s |= _fill(people, size)
            with ExitStack() as running:
                contenders = []
                for name, (platform, behind_s) in platforms.items():
                    running.enter_context(platform.running())
                    workloads = Workloads(people[name], now_ms, name=f"of-{size}", first_day=number)
                    contenders.append(prepared(name, platform, workloads, behind_s))
                say(f"growth: calls with {size:,} users")
                told.grown += _at_one_size(contenders, core, size, seconds, turns)


def _fill(people: dict[str, Population], size: int) -> dict[str, float]:
    """How many seconds it took, by engine and number."""
    with ThreadPoolExecutor(len(people)) as threads:
        taken = threads.map(lambda population: _timed(population, size), people.values())
        return {f"{name}, {size:,} users": took_s for name, took_s in zip(people, taken, strict=True)}


def _timed(population: Population, size: int) -> float:
    began_s = time.monotonic()
    population.grow(size)
    return round(time.monotonic() - began_s, 1)


def _at_one_size(contenders: Sequence[Contender], core: int, size: int, seconds: float, turns: int) -> list[Grown]:
    grown: list[Grown] = []
    with contest.bare(core) as limit:
        for workload in _WORKLOADS:
            sides = [contender.side(workload) for contender in contenders]
            results = measure.take_turns(workload, [limit, *sides], seconds=seconds, turns=turns)
            for contender, side in zip(contenders, sides, strict=True):
                contender.workloads.note(side.kept)
            grown += at_size(results, size)
    return grown


def at_size(results: Sequence[Result], size: int) -> list[Grown]:
    """What one workload cost at one size, beside the limit."""
    (limit,) = (one for one in results if one.side == BARE)
    return [
        Grown(one.workload, one.side, size, one.own_us, one.all_us, limit.own_us) for one in results if one.side != BARE
    ]

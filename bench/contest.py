"""Who is compared: the platform on each engine, and the baseline, all of them running; and the limits."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Final

from bench import calls, engines
from bench.baselines.served import diy
from bench.measure import Server
from bench.population import Population
from bench.subject import Platform, bare_server
from bench.workloads import STATUS, Workloads
from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bench.engines import Database

SQLITE: Final = "SQLite"
POSTGRES: Final = "PostgreSQL"
SLOW: Final = "PostgreSQL, slow syncs"
JETSTREAM: Final = "PostgreSQL + JetStream"
DIY: Final = "DIY"
BARE: Final = "bare ASGI"

_SETTLE_S: Final = 300.0
_clock = SystemClock()


def nothing_s() -> float:
    """The CPU time of no server behind an application."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Contender:
    """One that runs and can be asked every workload.

    Args:
        behind_s: the CPU time of the servers behind it so far.
    """

    name: str
    port: int
    pid: int
    behind_s: Callable[[], float]
    workloads: Workloads

    def side(self, workload: str, *, rate: float | None = None) -> Server:
        """It, at one workload; what registers is kept, so that it can be linked."""
        return Server(
            self.name, self.port, self.pid, self.behind_s, self.workloads.of(workload), STATUS[workload],
            rate=rate, keep=workload == "register",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arena:
    """All contenders by their names, and the PostgreSQL server that they share."""

    contenders: dict[str, Contender]
    database: Database


@contextmanager
def all_running(directory: Path, core: int, people: int) -> Iterator[Arena]:
    """Each engine and the baseline, with people and what they read.

    Args:
        directory: where the platforms keep what is theirs.
        people: stored users of each platform.
    """
    with ExitStack() as running:
        database = running.enter_context(engines.database())
        log = running.enter_context(engines.log())
        stored = {
            SQLITE: ({}, nothing_s),
            POSTGRES: ({"database_url": database.create("unbroken")}, database.cpu_s),
            JETSTREAM: (
                {"database_url": database.create("unbroken_log"), **log.settings},
                lambda: database.cpu_s() + log.cpu_s(),
            ),
        }
        made = {
            name: running.enter_context(contender(name, directory / str(number), core, settings, people, behind_s))
            for number, (name, (settings, behind_s)) in enumerate(stored.items())
        }
        yield Arena(made | {DIY: running.enter_context(_baseline(database, core))}, database)


@contextmanager
def contender(
    name: str,
    data: Path,
    core: int,
    settings: Mapping[str, str],
    people: int,
    behind_s: Callable[[], float],
) -> Iterator[Contender]:
    """A platform with people; the days of those who are read were processed."""
    now_ms = _clock.now_ms()
    platform = Platform(data, core, settings)
    population = Population(platform, now_ms)
    population.grow(people)
    with platform.running():
        workloads = Workloads(population, now_ms)
        if name == JETSTREAM:  # takes part in uploads only
            yield Contender(name, platform.port, platform.pid, behind_s, workloads)
        else:
            yield prepared(name, platform, workloads, behind_s)


def prepared(name: str, platform: Platform, workloads: Workloads, behind_s: Callable[[], float]) -> Contender:
    """A platform that runs, once there is something to read."""
    workloads.upload_days()
    if not platform.settle(_SETTLE_S):
        raise RuntimeError(f"{name}: the days were not processed in time.")
    return Contender(name, platform.port, platform.pid, behind_s, workloads)


@contextmanager
def _baseline(database: Database, core: int) -> Iterator[Contender]:
    now_ms = _clock.now_ms()
    with diy(database.create("diy"), core) as baseline:
        baseline.register(now_ms)
        workloads = Workloads(baseline, now_ms)
        workloads.upload_days()
        yield Contender(DIY, baseline.port, baseline.pid, database.cpu_s, workloads)


@contextmanager
def bare(core: int) -> Iterator[Server]:
    """The limit: no more than reading, checking and answering an upload."""
    now_ms = _clock.now_ms()
    body = calls.upload_body(calls.walk(now_ms - calls.STRETCH_MS), now_ms)
    request = calls.request("POST", "/sdk/payloads", calls.bearer("none"), body=body)
    with bare_server(core) as (port, pid):
        yield Server(BARE, port, pid, nothing_s, cycle([request]), 202)

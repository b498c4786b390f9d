"""The parts of a run, one after the other; each adds to what is told."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import contest, engines, grouped, machine, measure, pgbench, sdk_import
from bench.contest import DIY, JETSTREAM, POSTGRES, SLOW, SQLITE, Contender
from bench.growth import measure_growth
from bench.told import SLOW_SYNCS, Told
from unbroken import wire
from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from bench.engines import Database
    from bench.machine import Cores
    from bench.measure import Side

_OPEN: Final = ("mixed", "ingest")
PARTS: Final = ("calls", "slow", "growth", "import")
SYNC_MS: Final = 2.0
ENGINES: Final = {
    "register": (SQLITE, POSTGRES, DIY),
    "link": (SQLITE, POSTGRES, DIY),
    "timeline": (SQLITE, POSTGRES, DIY),
    "mixed": (SQLITE, POSTGRES, DIY),
    "ingest": (SQLITE, POSTGRES, JETSTREAM, DIY),
}
"""Who takes part in what, in order. On JetStream all but the upload is what it is on PostgreSQL. Links use up what
registered before; uploads come last, as workers have much to do after them."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything.

    Args:
        seconds: for each side at each workload.
        turns: in how many parts.
        clients: of the closed loops.
        loads: of the open ones, as parts of what each side did at 64 clients.
        people: stored users of each platform.
        sizes: to which they grow.
        growth_s: as `seconds`, at each size.
    """

    seconds: float
    turns: int
    clients: tuple[int, ...]
    loads: tuple[float, ...]
    people: int
    sizes: tuple[int, ...]
    growth_s: float


FULL: Final = Scale(4.0, 4, (16, 64, 256), (0.3, 0.6, 0.9), 10_000, (10_000, 1_000_000, 5_000_000), 3.0)
QUICK: Final = Scale(1.0, 2, (64,), (0.6,), 1_000, (1_000, 10_000), 0.8)


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Args:
        directory: where the platforms keep what is theirs.
        say: tells those who wait how far it is.
        keep: called with what is told so far, after each part.
    """

    scale: Scale
    cores: Cores
    directory: Path
    say: Callable[[str], None]
    told: Told
    keep: Callable[[Told], None]

    def parts(self, names: Sequence[str]) -> None:
        """Run these; what was told of them before is told anew."""
        told = self.told
        told.at = wire.iso(SystemClock().now_ms())[:16]
        told.machine, told.cores_shared = machine.description(), self.cores.are_shared
        before = machine.busy()
        each = {"calls": self._calls, "slow": self._slow, "growth": self._growth, "import": self._import}
        for name in names:
            began_s = time.monotonic()
            told.forget(name)
            each[name]()
            told.took_s[name] = round(time.monotonic() - began_s, 1)
            told.busy_cores = (before, machine.busy())
            self.keep(told)

    # Calls

    def _calls(self) -> None:
        self.say("calls: every engine and the baseline")
        core = self.cores.server
        with (
            contest.all_running(self.directory, core, self.scale.people) as arena,
            contest.bare(core) as bare,
            grouped.grouped(core, self.directory) as inserts,
        ):
            self.told.postgres = arena.database.version()
            scripts = _scripts(arena.database)
            limits: dict[str, list[Side]] = {"ingest": [bare, inserts, scripts[1]], "link": [scripts[0]]}
            for workload in ENGINES:
                for clients in self.scale.clients if workload != "mixed" else (64,):
                    self._closed(workload, clients, arena.contenders, limits.get(workload, []))
                for part in self.scale.loads if workload in _OPEN else ():
                    self._open(workload, part, arena.contenders)
            self.told.rss_bytes = machine.rss_bytes(arena.contenders[SQLITE].pid)

    def _closed(self, workload: str, clients: int, contenders: dict[str, Contender], limits: Sequence[Side]) -> None:
        self.say(f"{workload} with {clients} clients")
        sides = {name: contenders[name].side(workload) for name in ENGINES[workload]}
        self._turns(workload, [*limits, *sides.values()], clients)
        for name, side in sides.items():
            contenders[name].workloads.note(side.kept)

    def _open(self, workload: str, part: float, contenders: dict[str, Contender]) -> None:
        self.say(f"{workload} in an open loop, {part:.0%} of what each did in a closed one")
        sides = []
        for name in ENGINES[workload]:
            closed = self.told.find(workload, name)
            if closed is not None:
                sides.append(contenders[name].side(workload, rate=closed.per_s * part))
        self._turns(workload, sides, 0)

    def _turns(self, workload: str, sides: Sequence[Side], clients: int) -> None:
        self.told.results += measure.take_turns(
            workload, sides, seconds=self.scale.seconds, turns=self.scale.turns, clients=clients
        )

    # Slow syncs

    def _slow(self) -> None:
        self.say(f"slow: a second PostgreSQL server, whose syncs take {SYNC_MS:g} ms longer")
        try:
            with (
                self._on(engines.database(), POSTGRES, "fast") as fast,
                self._on(engines.slow_database(SYNC_MS), SLOW, "slow") as slow,
            ):
                sides = [fast.side("ingest"), slow.side("ingest")]
                self._turns(SLOW_SYNCS, sides, 256)
        except engines.NoCompiler as missing:
            self.told.missing.append(str(missing))

    @contextmanager
    def _on(self, started: AbstractContextManager[Database], name: str, place: str) -> Iterator[Contender]:
        """A platform on a server of its own."""
        with started as database:
            settings = {"database_url": database.create(place)}
            data, core, people = self.directory / place, self.cores.server, self.scale.people
            with contest.contender(name, data, core, settings, people, database.cpu_s) as made:
                yield made

    # The rest

    def _growth(self) -> None:
        scale = self.scale
        measure_growth(self.told, self.directory, self.cores.server, scale.sizes, scale.growth_s, scale.turns, self.say)

    def _import(self) -> None:
        self.told.import_ms, self.told.loaded = sdk_import.measure()


def _scripts(database: Database) -> tuple[Side, Side]:
    """pgbench on a database of its own: links, and inserts."""
    url, program = database.create("pgbench"), database.program("pgbench")
    pgbench.prepare(url)
    link, insert = (pgbench.Script(name, program, url, database.cpu_s) for name in (pgbench.LINK, pgbench.INSERT))
    return link, insert


def measure_parts(told: Told, names: Sequence[str], say: Callable[[str], None], keep: Callable[[Told], None]) -> None:
    """Run some parts, on one core for the application and another for the load; databases are temporary files.

    Args:
        told: what is known; what these parts find out goes there.
        keep: called with it after each part, as the next may fail.
    """
    cores = machine.choose_cores()
    scale = QUICK if told.quick else FULL
    with machine.pinned(cores.generator), tempfile.TemporaryDirectory(prefix="unbroken-bench-") as directory:
        Run(scale, cores, Path(directory), say, told, keep).parts(names)

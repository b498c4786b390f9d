"""`python -m bench`: every measurement in one run, and the table of them. See `--help`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import machine, phases, report
from bench.population import Population
from bench.report import Report
from bench.subject import Platform
from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from bench.measure import Limit


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    seconds: float
    registrations: int
    sizes: tuple[int, ...]
    whole_ways: int


FULL: Final = Scale(4.0, 40_000, (1_000, 100_000, 1_000_000), 900)
QUICK: Final = Scale(1.5, 10_000, (1_000, 100_000), 300)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Performance as ratios within one run.")
    parser.add_argument("--quick", action="store_true", help="in less than a minute, with rougher numbers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # so that the servers end too
    told = measure(QUICK if asked.quick else FULL)
    report.show(told)
    if asked.json is not None:
        report.write(told, asked.json)


def measure(scale: Scale) -> Report:
    """Run everything, on one core for the server and another for the load."""
    cores = machine.choose_cores()
    with (
        machine.pinned(cores.generator),
        tempfile.TemporaryDirectory(prefix="unbroken-bench-") as directory,
        phases.limit(cores.server) as limit,
    ):
        platform = Platform(Path(directory) / "data", cores.server)
        return _Run(scale, limit, platform, Report(cores)).all()


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: how much, of what, against what; and what is told."""

    scale: Scale
    limit: Limit
    platform: Platform
    told: Report

    def all(self) -> Report:
        """Every phase."""
        self._bare("the limit: bare ASGI")
        self.told.import_ms, self.told.loaded = phases.import_of_sdk()
        population = Population(self.platform, SystemClock().now_ms())
        population.grow(self.scale.sizes[0])
        with self.platform.running():
            self._calls()
            report.say("the whole way of an upload")
            self.told.whole = phases.whole_way(self.platform, population, self.scale.whole_ways)
            self._ingest(population)
        self._bare("the limit again, as the machine may be busier or calmer now")
        for size in self.scale.sizes[1:]:
            report.say(f"storing {size:,} users")
            population.grow(size)
            with self.platform.running():
                self._ingest(population)
        return self.told

    def _bare(self, what: str) -> None:
        report.say(what)
        self.told.bare.append(phases.bare(self.limit, self.scale.seconds))

    def _calls(self) -> None:
        platform, seconds = self.platform, self.scale.seconds
        report.say("register")
        registered, install_ids = phases.register(platform, self.scale.registrations, seconds)
        report.say("link")
        linked = phases.link(platform, install_ids, seconds)
        report.say("timeline")
        self.told.calls = [registered, linked, phases.timeline(platform, seconds)]

    def _ingest(self, population: Population) -> None:
        report.say(f"ingest with {population.size:,} stored users, in turns with the limit")
        day = 1 + len(self.told.ingest)
        self.told.ingest.append(phases.ingest(self.platform, population, day, self.scale.seconds, self.limit))
        self.told.rss_bytes = max(self.told.rss_bytes, machine.rss_bytes(self.platform.pid))


if __name__ == "__main__":
    main()

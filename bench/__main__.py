"""`python -m bench`: every measurement in one run, and the table of them. See `--help`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import machine, phases, report
from bench.population import Population
from bench.report import Report
from bench.subject import Platform
from unbroken.clock import SystemClock


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
    with machine.pinned(cores.generator), tempfile.TemporaryDirectory(prefix="unbroken-bench-") as directory:
        report.say("the limit: bare ASGI")
        told = Report(cores, bare=[phases.bare(cores.server, scale.seconds)])
        told.import_ms, told.loaded = phases.import_of_sdk()
        platform = Platform(Path(directory) / "data", cores.server)
        population = Population(platform, SystemClock().now_ms())
        population.grow(scale.sizes[0])
        with platform.running():
            _calls(platform, scale, told)
            report.say("the whole way of an upload")
            told.whole = phases.whole_way(platform, population, scale.whole_ways)
            _ingest(platform, population, scale, told)
        report.say("the limit again, as the machine may be busier or calmer now")
        told.bare.append(phases.bare(cores.server, scale.seconds))
        for size in scale.sizes[1:]:
            report.say(f"storing {size:,} users")
            population.grow(size)
            with platform.running():
                _ingest(platform, population, scale, told)
    return told


def _calls(platform: Platform, scale: Scale, told: Report) -> None:
    report.say("register")
    registered, install_ids = phases.register(platform, scale.registrations, scale.seconds)
    report.say("link")
    linked = phases.link(platform, install_ids, scale.seconds)
    report.say("timeline")
    read = phases.timeline(platform, scale.seconds)
    told.calls = [registered, linked, read]


def _ingest(platform: Platform, population: Population, scale: Scale, told: Report) -> None:
    report.say(f"ingest with {population.size:,} stored users")
    told.ingest.append(phases.ingest(platform, population, 1 + len(told.ingest), scale.seconds))
    told.rss_bytes = max(told.rss_bytes, machine.rss_bytes(platform.pid))


if __name__ == "__main__":
    main()

"""`python -m bench`: every measurement in one run, the table of them, and the page in docs/. See `--help`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import page, report
from bench.run import PARTS, measure_parts
from bench.told import Told, read


def main() -> None:
    """Measure and tell."""
    asked = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # so that the servers end too
    told = read(asked.read) if asked.read is not None else Told(quick=asked.quick)
    parts = asked.only or (() if asked.read is not None else PARTS)
    if parts:
        measure_parts(told, parts, report.say, lambda found: _keep(found, asked.json))
    report.show(told)
    _keep(told, asked.json)
    if asked.write:
        page.write(told)


def _keep(told: Told, path: Path | None) -> None:
    if path is not None:
        told.write(path)


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    words = argparse.ArgumentParser(prog="python -m bench", description="Performance as ratios within one run.")
    words.add_argument("--quick", action="store_true", help="in minutes, with rougher numbers and fewer users")
    words.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"some of: {', '.join(PARTS)}")
    words.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too, after each part")
    words.add_argument("--read", type=Path, metavar="FILE", help="tell what an earlier --json said; --only: those anew")
    words.add_argument("--write", action="store_true", help=f"write {page.PAGE.name} and its plot anew")
    return words


if __name__ == "__main__":
    main()

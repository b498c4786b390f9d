"""`python -m bench`: every measurement in one run, the table of them, and the page in docs/. See `--help`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import page, report, told
from bench.run import FULL, PARTS, QUICK, measured


def main() -> None:
    """Measure and tell."""
    asked = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # so that the servers end too
    if asked.read is not None:
        found = told.read(asked.read)
    else:
        found = measured(QUICK if asked.quick else FULL, asked.only or PARTS, asked.place, report.say)
    report.show(found)
    if asked.json is not None:
        found.write(asked.json)
    if asked.write:
        page.write(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Performance as ratios within one run.")
    parser.add_argument("--quick", action="store_true", help="in minutes, with rougher numbers and fewer users")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--place", type=Path, metavar="DIRECTORY", help="keep the databases of the platforms there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, tell what an earlier --json said")
    parser.add_argument("--write", action="store_true", help=f"write {page.PAGE.name} and its plot anew")
    return parser


if __name__ == "__main__":
    main()

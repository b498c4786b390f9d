"""Play the table: `python -m tests.faults.matrix --rounds 20`, or `--only "kill PostgreSQL"`, or `--each-pair`.

Prints a line for each round, and one for each fault at the end. Exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tests.faults.matrix.faults import EACH_CUT, TABLE
from tests.faults.matrix.round import play
from tests.faults.matrix.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.matrix.faults import Fault
    from tests.faults.matrix.round import Result


def main(words: Sequence[str] | None = None) -> int:
    """What the command does; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", action="append", help="faults whose names begin so; may be given several times")
    parser.add_argument("--each-pair", action="store_true", help="cut each of the 28 pairs of members by itself")
    asked = parser.parse_args(words)
    table = EACH_CUT if asked.each_pair else TABLE
    wanted = [fault for fault in table if not asked.only or fault.name.startswith(tuple(asked.only))]
    if not wanted:
        parser.error(f"no fault is called so; there are: {', '.join(fault.name for fault in table)}")
    with Scene() as scene:
        results = {fault.name: list(rounds(scene, fault, asked.rounds)) for fault in wanted}
        findings = scene.operator.findings()
    for name, played in results.items():
        print(summary(name, played))
    print(f"verify of everything: {findings or 'nothing was found'}")
    return 1 if findings or any(one.wrong for played in results.values() for one in played) else 0


def rounds(scene: Scene, fault: Fault, count: int) -> list[Result]:
    """Play a fault so many times, and print what came of each."""
    played = []
    for number in range(count):
        played.append(play(scene, fault, number))
        print(played[-1], flush=True)
    return played


def summary(name: str, played: Sequence[Result]) -> str:
    """All rounds of one fault in one line."""
    good = sum(not one.wrong for one in played)
    worst_s = max(max(one.back.answered_s, one.back.processed_s) for one in played)
    told = ", ".join(f"{sum(one.acknowledged[what] for one in played)} {what}" for what in ("links", "items"))
    return f"{name:24} {good} of {len(played)} rounds as they must be; back after {worst_s:.1f} s at most; {told}"


if __name__ == "__main__":
    sys.exit(main())

"""Play the table: `python -m tests.faults.matrix`, with `--only "kill PostgreSQL"`, `--minutes 60` and others.

Prints a line for each round, and one for each fault at the end. Exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests.faults.matrix.embedded import Embedded
from tests.faults.matrix.faults import EACH_CUT, EMBEDDED, TABLE
from tests.faults.matrix.round import play
from tests.faults.matrix.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.faults.matrix.faults import Fault
    from tests.faults.matrix.round import Result


def main(words: Sequence[str] | None = None) -> int:
    """What the command does; its exit code."""
    told, wanted = asked(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the scene is taken down then, too
    return tell(Embedded() if told.embedded else Scene(), wanted, told.rounds, told.minutes)


def asked(words: Sequence[str] | None) -> tuple[argparse.Namespace, list[Fault]]:
    """The options, and the faults that they name."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix")
    parser.add_argument("--rounds", type=int, default=20, help="of each fault; in turn, a round of each and so on")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so many")
    parser.add_argument("--only", action="append", help="faults whose names begin so; may be given several times")
    parser.add_argument("--each-pair", action="store_true", help="cut each of the 28 pairs of members by itself")
    parser.add_argument("--embedded", action="store_true", help="one process on SQLite instead of a cluster")
    told = parser.parse_args(words)
    table = EACH_CUT if told.each_pair else EMBEDDED if told.embedded else TABLE
    wanted = [fault for fault in table if not told.only or fault.name.startswith(tuple(told.only))]
    if not wanted:
        parser.error(f"no fault is called so; there are: {', '.join(fault.name for fault in table)}")
    return told, wanted


def tell(scene: Scene | Embedded, wanted: Sequence[Fault], count: int, minutes: float) -> int:
    """Play and print; the exit code."""
    until_s = time.monotonic() + minutes * 60
    with scene:
        played: dict[str, list[Result]] = {fault.name: [] for fault in wanted}
        for number, fault in itertools.product(range(count), wanted):
            if time.monotonic() < until_s:
                played[fault.name] += rounds(scene, fault, [number])
        findings = scene.operator.findings()
    for name, results in played.items():
        print(summary(name, results))
    print(f"verify of everything: {findings or 'nothing was found'}")
    return 1 if findings or any(one.wrong for results in played.values() for one in results) else 0


def rounds(scene: Scene | Embedded, fault: Fault, numbers: Iterable[int]) -> list[Result]:
    """Play these rounds of a fault, and print what came of each."""
    played = []
    for number in numbers:
        played.append(play(scene, fault, number))
        print(played[-1], flush=True)
    return played


def summary(name: str, played: Sequence[Result]) -> str:
    """All rounds of one fault in one line."""
    good = sum(not one.wrong for one in played)
    worst_s = max((max(one.back.answered_s, one.back.processed_s) for one in played), default=0.0)
    told = ", ".join(f"{sum(one.acknowledged[what] for one in played)} {what}" for what in ("links", "items"))
    return f"{name:24} {good} of {len(played)} rounds as they must be; back after {worst_s:.1f} s at most; {told}"


if __name__ == "__main__":
    sys.exit(main())

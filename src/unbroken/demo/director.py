"""The demo from beginning to end: both runs side by side, then what is shown, written and returned."""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from unbroken.demo import page, report, words
from unbroken.demo.day import UnusableTrace
from unbroken.demo.lanes import lanes_of
from unbroken.demo.persona import day_of
from unbroken.demo.run import live
from unbroken.demo.traces import read_day
from unbroken.demo.verdict import compare
from unbroken.testing.member import ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.demo.day import Day
    from unbroken.demo.run import Outcome

PAGE_NAME: Final = "timeline.html"


def direct(trace: str | None, output: Path, seed: int, *, keep: bool) -> int:
    """See `unbroken.demo.run`."""
    console, began_s = Console(), time.monotonic()
    try:
        day = read_day(trace) if trace else day_of(seed)
        output.mkdir(parents=True, exist_ok=True)
        with _workspace(output, keep=keep) as directory:
            four, one = _live_both(console, day, directory, seed)
    except (UnusableTrace, ProcessFailed, OSError) as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, style="red")
        return 2
    verdict, lanes = compare(four.timeline, one.timeline), lanes_of(four)
    console.print()
    report.show_lanes(console, day, lanes)
    report.show_timeline(console, day, four.timeline, lanes)
    file = output / PAGE_NAME
    file.write_text(page.write(day, four, lanes, verdict), encoding="utf-8")
    report.show_verdict(console, verdict, time.monotonic() - began_s)
    console.print(f"The same as a page with drawings: {file}", highlight=False, soft_wrap=True)
    return 0 if verdict.is_equal else 1


def _live_both(console: Console, day: Day, directory: Path, seed: int) -> tuple[Outcome, Outcome]:
    """Both runs at once, each with a platform of its own: the same seed gives both the same ids."""
    zone = words.zone_of(day.time_zone)
    console.print(f"[bold]{day.title}[/], {words.date(day.start_ms, zone)}: {len(day.items)} items captured.\n")
    screen = report.Live(console, day)
    with screen.progress, ThreadPoolExecutor(2) as pool:
        four = pool.submit(
            live, day, directory / "four-installs", seed, is_one_phone=False,
            watch=screen.watch("four installs, bad network", tells=True),
        )  # fmt: skip
        one = pool.submit(
            live, day, directory / "one-phone", seed, is_one_phone=True,
            watch=screen.watch("one phone, for comparison", tells=False),
        )  # fmt: skip
        return four.result(), one.result()


@contextmanager
def _workspace(output: Path, *, keep: bool) -> Iterator[Path]:
    """Where the platforms keep their data: beside the page if it is to be kept, else somewhere that is removed."""
    if keep:
        directory = Path(tempfile.mkdtemp(prefix="data-", dir=output))
        yield directory
        sys.stdout.write(f"The platforms' data is kept in {directory}\n")
        return
    with tempfile.TemporaryDirectory(prefix="unbroken-demo-") as temporary:
        yield Path(temporary)

"""The demo on the terminal: progress while it runs, then lanes, timeline and verdict."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from unbroken.demo import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from rich.console import Console

    from unbroken.demo.day import Day
    from unbroken.demo.lanes import Lane
    from unbroken.demo.run import Watch
    from unbroken.demo.verdict import Verdict

COLOURS: Final = ("blue", "magenta", "yellow", "green", "cyan", "red")
_EVENT_COLOURS: Final = {"stay": "white", "walking": "green", "bus": "cyan", "car": "red", "silence": "bright_black"}
_BAR_MIN: Final = 24


class Live:
    """Shows both runs as they go; told from two threads."""

    def __init__(self, console: Console, day: Day) -> None:
        self._console = console
        self._zone = words.zone_of(day.time_zone)
        self._lock = threading.Lock()
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"), TimeElapsedColumn(),
            console=console,
        )  # fmt: skip

    def watch(self, description: str, *, tells: bool) -> Watch:
        """What to give to a run: moves its bar, and prints its story where it `tells`."""
        task = self.progress.add_task(description, total=1.0, now="starting")

        def watch(line: Mapping[str, Any]) -> None:
            with self._lock:
                if "done" in line:
                    self.progress.update(task, completed=line["done"], now=words.clock(line["at"], self._zone))
                if tells and "told" in line:
                    self._console.print(f"[bold]{words.clock(line['at'], self._zone)}[/]  {line['told']}")

        return watch


def show_lanes(console: Console, day: Day, lanes: Sequence[Lane]) -> None:
    """Which install was active when."""
    zone = words.zone_of(day.time_zone)
    width = max(_BAR_MIN, min(72, console.width - 58))
    table = Table(title="Which install was active when", title_justify="left", box=None, pad_edge=False)
    table.add_column("install")
    table.add_column(_axis(day, width, zone), no_wrap=True)
    table.add_column("now")
    table.add_column("counted", justify="right")
    table.add_column("kept aside", justify="right")
    for lane, colour in zip(lanes, COLOURS, strict=False):
        counted = lane.outcomes["accepted"]
        aside = sum(lane.outcomes.values()) - counted
        name = Text(lane.name, style=colour)
        table.add_row(name, _bar(lane, day, width, colour), lane.state, str(counted), str(aside or "-"))
    console.print(table)


def show_timeline(console: Console, day: Day, timeline: Sequence[Mapping[str, Any]], lanes: Sequence[Lane]) -> None:
    """The one timeline."""
    zone = words.zone_of(day.time_zone)
    names = {lane.install_id: Text(lane.name, style=colour) for lane, colour in zip(lanes, COLOURS, strict=False)}
    table = Table(title="\nOne timeline", title_justify="left", box=None, pad_edge=False)
    for name in ("from", "to", "what"):
        table.add_column(name)
    for name in ("how long", "how far"):
        table.add_column(name, justify="right")
    table.add_column("began on")
    for event in timeline:
        start_ms, end_ms = words.span(event, day.end_ms)
        what = Text(words.event_name(event), style=_EVENT_COLOURS.get(words.event_kind(event), "yellow"))
        until = words.clock(end_ms, zone) if event.get("end") else "..."
        length, far = words.duration(event, day.end_ms), words.distance(event)
        table.add_row(words.clock(start_ms, zone), until, what, length, far, names.get(event["install_id"], "?"))
    console.print(table)


def show_verdict(console: Console, verdict: Verdict, seconds: float) -> None:
    """Whether the demo has shown what it claims."""
    if verdict.is_equal:
        console.print(
            f"\n[bold green]Equal.[/] All {verdict.events} events are those of one phone that never changed: "
            f"kind, times, places, distances, event ids. ({seconds:.0f} s)"
        )
    else:
        console.print(f"\n[bold red]Not equal[/] to one phone that never changed. {verdict.difference}", markup=True)


def _axis(day: Day, width: int, zone: tzinfo) -> str:
    first, last = words.clock(day.start_ms, zone), words.clock(day.end_ms, zone)
    return first + " " * max(1, width - len(first) - len(last)) + last


def _bar(lane: Lane, day: Day, width: int, colour: str) -> Text:
    """One character for each slice of the day: thick where active, thin where it exists and is not."""
    bar = Text()
    slice_ms = (day.end_ms - day.start_ms) / width
    for cell in range(width):
        middle_ms = day.start_ms + (cell + 0.5) * slice_ms
        is_active = any(start <= middle_ms and (end is None or middle_ms < end) for start, end in lane.activations)
        mark = "█" if is_active else "─" if middle_ms >= lane.registered_ms else " "
        bar.append(mark, style=colour if is_active else "dim")
    return bar

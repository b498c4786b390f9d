"""The demo of a cluster on the terminal: who runs and what was acknowledged while it goes on, then what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console, RenderableType

    from unbroken.demo.cluster.audit import Books
    from unbroken.demo.cluster.probes import Probe
    from unbroken.demo.cluster.promises import Promises
    from unbroken.demo.cluster.timetable import Kill
    from unbroken.testing.cluster import Cluster

_SHOWN: Final = 10
_COLOURS: Final = {"running": "green", "killed": "red", "starting": "yellow", "stopped": "dim"}


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the demo has shown.

    Args:
        back_s: for each kill: after how many seconds each probe was answered again, by the probe's name.
        wrong: what clients have met that must never happen.
    """

    seconds: float
    kills: Sequence[Kill]
    back_s: Sequence[dict[str, float | None]]
    books: Books
    answers: dict[int, int]
    wrong: Sequence[str]

    @property
    def is_good(self) -> bool:
        """Whether the demo has shown what it claims."""
        is_back = all(seconds is not None for back in self.back_s for seconds in back.values())
        return self.books.is_good and not self.wrong and is_back

    @property
    def refused(self) -> int:
        """How many requests were answered 503."""
        return self.answers.get(503, 0)

    def as_json(self) -> dict[str, Any]:
        """The same for a program; times in seconds."""
        books = self.books
        kills = [
            {"what": kill.what, "member": kill.member, "at_s": round(kill.after_s, 1)}
            | {f"{name}_back_s": None if back is None else round(back, 2) for name, back in backs.items()}
            for kill, backs in zip(self.kills, self.back_s, strict=True)
        ]
        counts = {name: getattr(books, name) for name in ("payloads", "items", "links", "people")}
        amiss = {name: list(getattr(books, name)) for name in _AMISS}
        answers = {str(status): count for status, count in sorted(self.answers.items())}
        return {"ok": self.is_good, "kills": kills, **counts, **amiss, "wrong": list(self.wrong), "answers": answers}


_AMISS: Final = ("lost", "doubled", "lost_links", "not_one_active", "findings")


class Screen:
    """What is seen while it runs; told from several threads."""

    def __init__(self, console: Console, promises: Promises) -> None:
        self._console = console
        self._promises = promises
        self._began = time.monotonic()
        self._cluster: Cluster | None = None
        self._states: dict[str, str] = {}

    def live(self) -> AbstractContextManager[object]:
        """Show it in one place of the terminal while this is open; a file gets what is told alone."""
        return Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)

    def show(self, cluster: Cluster) -> None:
        """These are the members."""
        self._cluster, self._states = cluster, dict.fromkeys(cluster.members, "running")

    def member(self, name: str, state: str) -> None:
        """A member is killed, starting or running."""
        self._states[name] = state
        self.say(Text.assemble((name, "bold"), " is ", (state, _COLOURS[state])))

    def say(self, what: str | Text) -> None:
        """A line that stays."""
        at = Text(f"{time.monotonic() - self._began:5.1f} s  ", style="dim")
        self._console.print(at + (Text(what) if isinstance(what, str) else what))

    def _render(self) -> RenderableType:
        if self._cluster is None or not self._console.is_terminal:
            return ""
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("member", "process", "state"):
            table.add_column(name)
        for name, member in list(self._cluster.members.items()):
            told = self._states.get(name, "running")
            state = told if member.is_running or told != "running" else "stopped"
            pid = str(member.pid) if member.is_running else "-"
            table.add_row(name, pid, Text(state, style=_COLOURS[state]))
        return Group(table, Text(self._counts(), style="bold"))

    def _counts(self) -> str:
        told = self._promises
        return (
            f"{time.monotonic() - self._began:.0f} s: acknowledged {len(told.links)} links and"
            f" {told.payload_count} payloads; answered 503: {told.answers[503]}, not at all: {told.answers[0]}"
        )


def backs(kills: Sequence[Kill], probes: Sequence[Probe]) -> list[dict[str, float | None]]:
    """How soon each kill's probes were answered again."""
    return [{probe.name: probe.back_after(kill.at) for probe in probes} for kill in kills]


def show(console: Console, report: Report) -> None:
    """The whole report."""
    books = report.books
    console.print("\n[bold]What was killed, and how soon after that the service did its part again[/]")
    console.print(_kills(report))
    console.print(
        f"{books.people} people, {books.links} installs linked, {books.payloads} payloads with {books.items} items"
        f" acknowledged; {report.refused} requests were answered 503 and {report.answers.get(0, 0)} not at all,"
        " and were made again.",
        highlight=False,
        soft_wrap=True,
    )
    for is_so, claim, amiss in _claims(report):
        console.print(Text.assemble(("yes  ", "bold green") if is_so else ("NO   ", "bold red"), claim))
        for sentence in amiss[:_SHOWN]:
            console.print(f"     {sentence}", highlight=False, markup=False)
        if len(amiss) > _SHOWN:
            console.print(f"     and {len(amiss) - _SHOWN} more", highlight=False)
    good, bad = ("Nothing that was acknowledged is lost.", "bold green"), ("This must not be.", "bold red")
    console.print(Text(*(good if report.is_good else bad)))


def _kills(report: Report) -> Table:
    names = list(report.back_s[0]) if report.back_s else []
    table = Table("killed", "which", box=box.SIMPLE_HEAD)
    for name in ("at", *names, "itself ready"):
        table.add_column(name, justify="right")
    for kill, back in zip(report.kills, report.back_s, strict=True):
        table.add_row(
            kill.what, kill.member, f"{kill.after_s:.0f} s", *map(_seconds, back.values()), _seconds(kill.again_s)
        )
    return table


def _claims(report: Report) -> list[tuple[bool, str, Sequence[str]]]:
    books = report.books
    unanswered = [
        f"{name} after {kill.member} was killed"
        for kill, back in zip(report.kills, report.back_s, strict=True)
        for name, seconds in back.items()
        if seconds is None
    ]
    return [
        _claim(f"every acknowledged payload is accounted for: {len(books.lost)} lost", books.lost),
        _claim(f"each of its items is there once: {len(books.doubled)} counted twice", books.doubled),
        _claim(f"every acknowledged link is there: {len(books.lost_links)} lost", books.lost_links),
        _claim("each user has one active install, and never had two at once", books.not_one_active),
        _claim(f"unbroken verify finds nothing in {books.rows} rows", books.findings),
        _claim("the service did its part again after each kill", unanswered),
        _claim("no phone and no server met what must never happen", report.wrong),
    ]


def _claim(words: str, amiss: Sequence[str]) -> tuple[bool, str, Sequence[str]]:
    return not amiss, words, amiss


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"

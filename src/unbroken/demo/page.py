"""The demo's page: one HTML file that needs no network, in light and dark. Pure."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from unbroken.demo import chart, drawing, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from unbroken.demo.day import Day
    from unbroken.demo.lanes import Lane
    from unbroken.demo.run import Outcome
    from unbroken.demo.verdict import Verdict

_FATES: Final = {
    "delivered": "requests delivered",
    "lost": "lost on the way",
    "reply lost": "replies lost",
    "repeated": "delivered twice",
    "late": "held up on the way",
}


def write(day: Day, outcome: Outcome, lanes: Sequence[Lane], verdict: Verdict) -> str:
    """The page."""
    zone = words.zone_of(day.time_zone)
    style = files("unbroken.demo").joinpath("page.css").read_text(encoding="utf-8")
    parts = (
        _head(day, verdict, zone),
        _section("Which install was active when", chart.draw(day, outcome.timeline, lanes), _CHART_NOTE),
        _section("Where it went", drawing.draw(day, outcome.timeline, lanes), _legend(lanes) + _MAP_NOTE),
        _section("One timeline", _table(day, outcome, lanes, zone)),
        _section("What happened on the way", _story(outcome, zone), _network(outcome)),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Unbroken: {escape(day.title)}</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n{''.join(parts)}</main></body></html>\n"
    )


_CHART_NOTE: Final = (
    "<p class='note'>A thick bar: the active install. A thin line: it exists, but does not count. Strokes: what it "
    "captured, pale where it was kept aside. An arc: what waited on the device, and when it arrived. Dashed: a "
    "take-over, which the timeline does not show.</p>"
)
_MAP_NOTE: Final = (
    "<p class='note'>Numbers are those of the table below. Hollow dots: captured by an install that was not the active "
    "one any more, so kept aside.</p>"
)


def _head(day: Day, verdict: Verdict, zone: tzinfo) -> str:
    if verdict.is_equal:
        badge, word = "equal", "Equal to one phone that never changed"
        detail = f"All {verdict.events} events: kind, times, places, distances and event ids."
    else:
        badge, word, detail = "unequal", "Not equal to one phone that never changed", str(verdict.difference)
    return (
        f"<header><p class='brand'>Unbroken</p><h1>Four installs, one timeline</h1>"
        f"<p class='lead'>{escape(day.title)}, {escape(words.date(day.start_ms, zone))}. It went through phone A, a "
        "reinstall, a tablet and a new phone B, over a network that loses, doubles and delays.</p>"
        f"<div class='verdict {badge}'><strong>{word}</strong><span>{escape(detail)}</span></div></header>\n"
    )


def _section(title: str, body: str, note: str = "") -> str:
    return f"<section><h2>{title}</h2><div class='scroll'>{body}</div>{note}</section>\n"


def _legend(lanes: Sequence[Lane]) -> str:
    entries = "".join(
        f"<li><span class='dot lane-{number}'></span>{escape(lane.name)}</li>" for number, lane in enumerate(lanes)
    )
    return f"<ul class='legend'>{entries}</ul>"


def _table(day: Day, outcome: Outcome, lanes: Sequence[Lane], zone: tzinfo) -> str:
    numbers = {lane.install_id: number for number, lane in enumerate(lanes)}
    rows = "".join(
        _row(row, event, day, lanes, numbers.get(event["install_id"]), zone)
        for row, event in enumerate(outcome.timeline, 1)
    )
    heads = "".join(f"<th>{name}</th>" for name in ("", "from", "to", "what", "how long", "how far", "began on"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _row(row: int, event: Mapping[str, Any], day: Day, lanes: Sequence[Lane], lane: int | None, zone: tzinfo) -> str:
    start_ms, end_ms = words.span(event, day.end_ms)
    until = words.clock(end_ms, zone) if event.get("end") else "goes on"
    began_on = "" if lane is None else f"<span class='dot lane-{lane}'></span>{escape(lanes[lane].name)}"
    cells = (
        f"<td class='number'>{row}</td><td>{words.clock(start_ms, zone)}</td><td>{until}</td>"
        f"<td><span class='kind kind-{words.event_kind(event)}'></span>{escape(words.event_name(event))}</td>"
        f"<td class='right'>{words.duration(event, day.end_ms)}</td><td class='right'>{words.distance(event)}</td>"
        f"<td>{began_on}</td>"
    )
    return f"<tr>{cells}</tr>"


def _story(outcome: Outcome, zone: tzinfo) -> str:
    lines = "".join(
        f"<li><time>{words.clock(at_ms, zone)}</time><span>{escape(told)}</span></li>" for at_ms, told in outcome.story
    )
    return f"<ol class='story'>{lines}</ol>"


def _network(outcome: Outcome) -> str:
    return f"<dl class='tiles'>{''.join(_tiles(outcome))}</dl>"


def _tiles(outcome: Outcome) -> Iterable[str]:
    aside = sum(item["outcome"] != "accepted" for item in outcome.items)
    counts = [(outcome.network.get(fate, 0), name) for fate, name in _FATES.items()]
    counts += [(len(outcome.items) - aside, "items on the timeline"), (aside, "items kept aside, with the reason")]
    for count, name in counts:
        yield f"<div><dt>{name}</dt><dd>{count}</dd></div>"

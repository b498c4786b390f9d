"""The chart of the page: a lane for each install, the one timeline under them, on one axis of time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unbroken.demo import svg, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from unbroken.demo.day import Day
    from unbroken.demo.lanes import Lane

_WIDTH: Final = 1_000
_LEFT: Final = 168
_RIGHT: Final = 18
_TOP: Final = 30
_LANE_HIGH: Final = 58
_TIMELINE_HIGH: Final = 46
_HOUR_MS: Final = 3_600_000
_TICKS_MAX: Final = 9
_LABEL_MIN: Final = 52


class _Axis:
    """Instants to drawing units."""

    def __init__(self, day: Day, lanes: Sequence[Lane]) -> None:
        received = [item.received_ms for lane in lanes for item in lane.captured]
        self.start_ms = min(day.start_ms, *(lane.registered_ms for lane in lanes))
        self.end_ms = max(day.end_ms, *received) if received else day.end_ms

    def x(self, at_ms: int) -> float:
        part = (min(max(at_ms, self.start_ms), self.end_ms) - self.start_ms) / max(1, self.end_ms - self.start_ms)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self, zone: tzinfo) -> list[tuple[int, str]]:
        """Round local hours, or halves and quarters of a short day."""
        steps = [m * 60_000 for m in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)]
        step = next((s for s in steps if (self.end_ms - self.start_ms) / s <= _TICKS_MAX), steps[-1])
        first = -(-self.start_ms // step) * step
        return [(at, words.clock(at, zone)) for at in range(first, self.end_ms + 1, step)]


def draw(day: Day, timeline: Sequence[Mapping[str, Any]], lanes: Sequence[Lane]) -> str:
    """The chart as SVG."""
    axis, zone = _Axis(day, lanes), words.zone_of(day.time_zone)
    bottom = _TOP + len(lanes) * _LANE_HIGH
    height = bottom + _TIMELINE_HIGH + 34
    return svg.tag(
        "svg",
        svg.title("Which install was active when, and the one timeline that came of it"),
        *_grid(axis, zone, height),
        *_seams(axis, lanes, bottom),
        *(mark for number, lane in enumerate(lanes) for mark in _lane(axis, zone, number, lane)),
        svg.text(12, bottom + 34, "one timeline", "lane-name strong"),
        *_events(axis, zone, timeline, bottom + 12),
        viewBox=f"0 0 {_WIDTH} {height}",
        class_="chart",
        role="img",
    )


def _grid(axis: _Axis, zone: tzinfo, height: float) -> Iterable[str]:
    for at_ms, label in axis.ticks(zone):
        x = axis.x(at_ms)
        yield svg.tag("path", d=svg.path([(x, _TOP - 8), (x, height - 8)]), class_="grid")
        yield svg.text(x, _TOP - 14, label, "tick", "middle")


def _seams(axis: _Axis, lanes: Sequence[Lane], bottom: float) -> Iterable[str]:
    """From each take-over down to the timeline, which does not show it."""
    for number, lane in enumerate(lanes):
        for start_ms, _ in lane.activations[:1] if number else ():
            x = axis.x(start_ms)
            top = _TOP + number * _LANE_HIGH + 12
            yield svg.tag("path", d=svg.path([(x, top), (x, bottom + _TIMELINE_HIGH + 16)]), class_="seam")


def _lane(axis: _Axis, zone: tzinfo, number: int, lane: Lane) -> Iterable[str]:
    y = _TOP + number * _LANE_HIGH + 20
    yield svg.text(12, y + 2, lane.name, "lane-name")
    yield svg.text(12, y + 18, f"{lane.form}, {lane.state}", "lane-state")
    yield svg.tag(
        "path",
        d=svg.path([(axis.x(lane.registered_ms), y), (axis.x(axis.end_ms), y)]),
        class_=f"exists lane-{number}",
    )
    for start_ms, end_ms in lane.activations:
        x, to = axis.x(start_ms), axis.x(end_ms if end_ms is not None else axis.end_ms)
        until = words.clock(end_ms, zone) if end_ms is not None else "now"
        yield svg.tag(
            "rect",
            svg.title(f"{lane.name}: active from {words.clock(start_ms, zone)} to {until}"),
            x=x, y=y - 9, width=max(2.0, to - x), height=18, rx=5, class_=f"active lane-{number}",
        )  # fmt: skip
    yield from _captured(axis, number, lane, y + 15)
    yield from _late(axis, zone, number, lane, y + 15)


def _captured(axis: _Axis, number: int, lane: Lane, y: float) -> Iterable[str]:
    """A stroke for each item: full where it counted, pale where it was kept aside."""
    for class_, is_counted in (("counted", True), ("kept", False)):
        xs = sorted({round(axis.x(i.at_ms), 1) for i in lane.captured if (i.outcome == "accepted") is is_counted})
        if xs:
            strokes = "".join(f"M{x:g} {y}v9" for x in xs)
            why = "on the timeline" if is_counted else "captured, but kept aside"
            yield svg.tag("path", svg.title(f"{lane.name}: {why}"), d=strokes, class_=f"{class_} lane-{number}")


def _late(axis: _Axis, zone: tzinfo, number: int, lane: Lane, y: float) -> Iterable[str]:
    """An arc from what waited on the device to when it arrived."""
    for late in lane.late_uploads:
        first, last, arrived = axis.x(late.first_ms), axis.x(late.last_ms), axis.x(late.received_ms)
        middle = (first + last) / 2
        told = (
            f"{late.count} items captured from {words.clock(late.first_ms, zone)} to {words.clock(late.last_ms, zone)}"
            f" arrived at {words.clock(late.received_ms, zone)}"
        )
        low = y + 22
        arc = f"M{middle:.1f} {y + 10}C{middle:.1f} {low} {arrived:.1f} {low} {arrived:.1f} {y + 3}"
        yield svg.tag("path", svg.title(told), d=arc, class_=f"late lane-{number}")
        yield svg.tag("circle", svg.title(told), cx=arrived, cy=y + 3, r=3.5, class_=f"arrival lane-{number}")


def _events(axis: _Axis, zone: tzinfo, timeline: Sequence[Mapping[str, Any]], y: float) -> Iterable[str]:
    for row, event in enumerate(timeline, 1):
        start_ms, end_ms = words.span(event, axis.end_ms)
        x, to = axis.x(start_ms), axis.x(end_ms)
        name = words.event_name(event)
        told = f"{row}: {name}, {words.clock(start_ms, zone)} to {words.clock(end_ms, zone)}"
        yield svg.tag(
            "rect",
            svg.title(told),
            x=x, y=y, width=max(1.5, to - x - 1), height=_TIMELINE_HIGH - 10, rx=4,
            class_=f"event kind-{words.event_kind(event)}",
        )  # fmt: skip
        if to - x > _LABEL_MIN:
            yield svg.text((x + to) / 2, y + 22, name, f"event-name on-{words.event_kind(event)}", "middle")

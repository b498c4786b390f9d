"""The map of the page: where the person was, drawn in the colour of the install that saw it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from unbroken.demo import svg, words
from unbroken.testing.journey import METRES_PER_DEGREE, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from unbroken.demo.day import Day, TownMap
    from unbroken.demo.lanes import Captured, Lane

WIDTH: Final = 1_000
_HEIGHT_MIN, _HEIGHT_MAX = 380, 640
_MARGIN: Final = 48
_GAP_MS: Final = 10 * 60_000
_TRACK_MAX, _TRACK_STEP, _TRACK_MIN = 8.0, 1.7, 2.5
_ACCURATE_M: Final = 100.0
_STEPS_M: Final = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


@dataclass(frozen=True, slots=True)
class Projection:
    """Degrees to drawing units: north up, true to scale at the middle of the day's places."""

    west: float
    north: float
    east_scale: float
    north_scale: float
    left: float
    top: float
    height: float

    def point(self, place: Place) -> tuple[float, float]:
        """Where a place is drawn."""
        return (
            self.left + (place.lon - self.west) * self.east_scale,
            self.top + (self.north - place.lat) * self.north_scale,
        )

    @property
    def units_per_m(self) -> float:
        """How long a metre is drawn."""
        return self.north_scale / METRES_PER_DEGREE


def draw(day: Day, timeline: Sequence[Mapping[str, Any]], lanes: Sequence[Lane]) -> str:
    """The map as SVG."""
    seen = [(number, item) for number, lane in enumerate(lanes) for item in _counted(lane)]
    seen.sort(key=lambda pair: pair[1].at_ms)
    projection = _fit([_place(item) for _, item in seen])
    zone = words.zone_of(day.time_zone)
    route = [projection.point(_place(item)) for _, item in seen]
    return svg.tag(
        "svg",
        svg.title("The day on a map, in the colours of the installs that captured it"),
        _ground(day.town, projection),
        *_tracks(seen, projection),
        *_aside(lanes, projection),
        *_stays(timeline, projection, day.end_ms, zone),
        *_names(day.town, projection),
        *_hand_overs(lanes, seen, projection, zone),
        _traveller(route),
        _scale_bar(projection),
        viewBox=f"0 0 {WIDTH} {projection.height:.0f}",
        class_="map",
        role="img",
    )


def _counted(lane: Lane) -> list[Captured]:
    """What is on the timeline and good enough to draw: a wild fix would draw a spike nobody walked."""
    return [i for i in lane.captured if i.outcome == "accepted" and i.lat is not None and (i.acc_m or 0) < _ACCURATE_M]


def _place(item: Captured) -> Place:
    assert item.lat is not None
    assert item.lon is not None
    return Place(item.lat, item.lon)


def _fit(places: Sequence[Place]) -> Projection:
    """The projection that shows all places, in a height between the limits."""
    south, north = min(p.lat for p in places), max(p.lat for p in places)
    west, east = min(p.lon for p in places), max(p.lon for p in places)
    shrink = math.cos(math.radians((south + north) / 2))
    wide, high = max((east - west) * shrink, 1e-4), max(north - south, 1e-4)
    scale = min((WIDTH - 2 * _MARGIN) / wide, (_HEIGHT_MAX - 2 * _MARGIN) / high)
    height = max(_HEIGHT_MIN, high * scale + 2 * _MARGIN)
    left, top = (WIDTH - wide * scale) / 2, (height - high * scale) / 2
    return Projection(west, north, shrink * scale, scale, left, top, height)


def _ground(town: TownMap, projection: Projection) -> str:
    def lines(class_: str, ways: Iterable[Sequence[Place]]) -> str:
        d = "".join(svg.path(projection.point(place) for place in way) for way in ways)
        return svg.tag("path", d=d, class_=class_) if d else ""

    ground = svg.tag("rect", x=0, y=0, width=WIDTH, height=projection.height, class_="ground")
    river = [town.river] if town.river else []
    return "".join(
        (
            ground,
            lines("park", town.parks),
            lines("river", river),
            lines("street", town.streets),
            lines("main-street", town.main_streets),
        )
    )


def _tracks(seen: Sequence[tuple[int, Captured]], projection: Projection) -> Iterable[str]:
    """One line for each stretch of one install; earlier installs are drawn wider, so that a way back hides nothing."""
    stretches: list[tuple[int, list[tuple[float, float]]]] = []
    last: tuple[int, Captured] | None = None
    for number, item in seen:
        point = projection.point(_place(item))
        if last is None or last[0] != number or item.at_ms - last[1].at_ms > _GAP_MS:
            start = [projection.point(_place(last[1]))] if last is not None else []
            stretches.append((number, start))
        stretches[-1][1].append(point)
        last = (number, item)
    for number, points in stretches:
        if len(points) > 1:
            width = max(_TRACK_MIN, _TRACK_MAX - _TRACK_STEP * number)
            yield svg.tag("path", d=svg.path(points), class_=f"track lane-{number}", stroke_width=width)


def _aside(lanes: Sequence[Lane], projection: Projection) -> Iterable[str]:
    """What did not count: hollow dots."""
    for number, lane in enumerate(lanes):
        for item in lane.captured:
            if item.outcome != "accepted" and item.lat is not None:
                x, y = projection.point(_place(item))
                why = svg.title(f"{lane.name}: {words.OUTCOMES.get(item.outcome, item.outcome)}")
                yield svg.tag("circle", why, cx=x, cy=y, r=4, class_=f"aside lane-{number}")


def _hand_overs(
    lanes: Sequence[Lane], seen: Sequence[tuple[int, Captured]], projection: Projection, zone: tzinfo
) -> Iterable[str]:
    """A flag where one install took over from another."""
    for (before, left), (after, found) in pairwise(seen):
        if before != after:
            x, y = projection.point(_place(left))
            at = words.clock(found.at_ms, zone)
            label = f"{at} {lanes[after].name}"
            yield svg.tag(
                "g",
                svg.title(f"{at}: {lanes[after].name} takes over from {lanes[before].name}"),
                svg.tag("path", d=svg.path([(x, y), (x, y - 30)]), class_="pole"),
                _flag(x, y - 42, label, after),
                class_="hand-over",
            )


def _flag(x: float, y: float, label: str, number: int) -> str:
    wide = 7.2 * len(label) + 16
    left = min(max(4.0, x - wide / 2), WIDTH - wide - 4)
    return svg.tag("rect", x=left, y=y - 12, width=wide, height=24, rx=12, class_=f"flag lane-{number}") + svg.text(
        left + wide / 2, y + 4.5, label, "flag-text", "middle"
    )


def _stays(timeline: Sequence[Mapping[str, Any]], projection: Projection, end_ms: int, zone: tzinfo) -> Iterable[str]:
    """A disc for each place where the person stayed: the longer, the larger. Its number is that of the table's row."""
    stays = [(number, event) for number, event in enumerate(timeline, 1) if event["type"] == "Stationary"]
    at: dict[tuple[int, int], list[tuple[int, Mapping[str, Any]]]] = {}
    for number, event in stays:
        x, y = projection.point(Place(event["latitude"], event["longitude"]))
        spot = next((s for s in at if math.dist(s, (x, y)) < 16), (round(x), round(y)))
        at.setdefault(spot, []).append((number, event))
    for (x_, y_), events in at.items():
        hours = sum(_hours(event, end_ms) for _, event in events)
        radius = min(26.0, 11.0 + 3.2 * math.sqrt(hours))
        told = "\n".join(_told(event, end_ms, zone) for _, event in events)
        numbers = "·".join(str(number) for number, _ in events)
        yield svg.tag(
            "g",
            svg.title(told),
            svg.tag("circle", cx=x_, cy=y_, r=radius, class_="stay-disc"),
            svg.text(x_, y_ + 4, numbers, "stay-number", "middle"),
        )


def _told(event: Mapping[str, Any], end_ms: int, zone: tzinfo) -> str:
    start_ms, stop_ms = words.span(event, end_ms)
    return f"{words.event_name(event)}, {words.clock(start_ms, zone)} to {words.clock(stop_ms, zone)}"


def _hours(event: Mapping[str, Any], end_ms: int) -> float:
    start_ms, stop_ms = words.span(event, end_ms)
    return (stop_ms - start_ms) / 3_600_000


def _names(town: TownMap, projection: Projection) -> Iterable[str]:
    for name, place in town.places:
        x, y = projection.point(place)
        yield svg.text(x, y + 38, name, "place-name", "middle")


def _traveller(route: Sequence[tuple[float, float]]) -> str:
    """A dot that goes through the day again and again."""
    thinned = route[:: max(1, len(route) // 400)]
    motion = svg.tag("animateMotion", path=svg.path(thinned), dur="24s", repeatCount="indefinite")
    return svg.tag("circle", motion, r=6.5, class_="traveller") if len(thinned) > 1 else ""


def _scale_bar(projection: Projection) -> str:
    metres = max((m for m in _STEPS_M if m * projection.units_per_m <= 180), default=_STEPS_M[0])
    long, y = metres * projection.units_per_m, projection.height - 22
    label = f"{metres // 1000} km" if metres >= 1000 else f"{metres} m"
    right = WIDTH - 24
    bar = svg.path([(right - long, y - 5), (right - long, y), (right, y), (right, y - 5)])
    return svg.tag("path", d=bar, class_="scale") + svg.text(right - long / 2, y - 8, label, "scale-text", "middle")

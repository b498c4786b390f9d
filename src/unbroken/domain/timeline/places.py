"""Places: a second fold, over closed stays in order: where a person returns to, and which place is home or work.

A place is where stays lie within 125 m of each other (DBSCAN, Ester et al., KDD 1996, on stays instead of fixes comes
down to that). The rules of significance, for the 28 days up to the last stay:

- home: most minutes from midnight to six, on at least three nights of an hour or more;
- work: not home, most minutes from nine to five from Monday to Friday, on at least three such days of an hour or more;
- a new leader takes over home or work only after it has led for seven days, so a holiday moves nobody;
- regular: visited on four days or more; new: visited once, ever; nonregular: any other.

`poi` is never given: it takes a map of what stands where.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from unbroken.domain.timeline.geo import E7, distance_m, short_way

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE_M: Final = 125.0
WINDOW_DAYS: Final = 28
HOLD_DAYS: Final = 7
LEAD_DAYS: Final = 3
REGULAR_DAYS: Final = 4
MAX_PLACES: Final = 64
"""A person's places that are remembered; the one not visited for longest is forgotten first, home and work never."""

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_LEAD_MINUTES: Final = 60
_VERSION: Final = 1


class Significance(StrEnum):
    """What a place is to a person."""

    HOME = "home"
    WORK = "work"
    REGULAR = "regular"
    NONREGULAR = "nonregular"
    POI = "poi"
    NEW = "new"


class Stay(NamedTuple):
    """A closed stay; `offset_ms` is what the local clock there is ahead of UTC."""

    event_id: str
    start_ms: int
    end_ms: int
    lat: float
    lon: float
    offset_ms: int


class Day(NamedTuple):
    """A local day of visits to a place: days since 1970, minutes at night, minutes in working hours."""

    day: int
    night: int
    work: int


class Place(NamedTuple):
    """Where stays lie together: their count, the sums of their positions (E7, longitudes as offsets from `lon`)."""

    visits: int
    sum_lat: int
    lon: int
    sum_lon: int
    last_ms: int
    days: tuple[Day, ...]

    @property
    def centre(self) -> tuple[int, int]:
        """The mean of the stays, in E7."""
        return self.sum_lat // self.visits, short_way(self.lon + self.sum_lon // self.visits)


class Seat(NamedTuple):
    """Who holds a significance of which there is one: the place, and the rival that leads since a day."""

    holder: str = ""
    rival: str = ""
    since_day: int = 0


EMPTY: Final = Seat()


@dataclass(frozen=True, slots=True)
class Places:
    """A person's places by id, as of the local day of the last stay."""

    by_id: dict[str, Place] = field(default_factory=dict)
    today: int = 0
    home: Seat = EMPTY
    work: Seat = EMPTY


def add(places: Places, stay: Stay) -> tuple[Places, str]:
    """The places with one more stay, which must not be earlier than those before, and the id of the place it is at."""
    place_id = _nearest(places, stay) or _new_id(stay)
    days = tuple(_days_of(stay))
    today = max(places.today, days[-1].day)
    by_id = {**places.by_id, place_id: _visited(places.by_id.get(place_id), stay, days, today)}
    home = _seated(places.home, _leader(by_id, today, "night"), today)
    rest = {each: place for each, place in by_id.items() if each != home.holder}
    held = places.work if places.work.holder != home.holder else EMPTY
    work = _seated(held, _leader(rest, today, "work"), today)
    return _bounded(Places(by_id, today, home, work)), place_id


def labels(places: Places) -> dict[str, Significance]:
    """What each remembered place is to the person."""
    return {place_id: _label(places, place_id, place) for place_id, place in places.by_id.items()}


def _label(places: Places, place_id: str, place: Place) -> Significance:
    if place_id == places.home.holder:
        return Significance.HOME
    if place_id == places.work.holder:
        return Significance.WORK
    if place.visits == 1:
        return Significance.NEW
    regular = len(_recent(place.days, places.today)) >= REGULAR_DAYS
    return Significance.REGULAR if regular else Significance.NONREGULAR


def _nearest(places: Places, stay: Stay) -> str:
    lat, lon = round(stay.lat * E7), round(stay.lon * E7)
    near = [(distance_m(*place.centre, lat, lon), place_id) for place_id, place in places.by_id.items()]
    away_m, place_id = min(near, default=(PLACE_M + 1, ""))
    return place_id if away_m <= PLACE_M else ""


def _new_id(stay: Stay) -> str:
    """A place is named after the first stay there."""
    return "p" + stay.event_id[:15]


def _visited(place: Place | None, stay: Stay, days: tuple[Day, ...], today: int) -> Place:
    lat, lon = round(stay.lat * E7), round(stay.lon * E7)
    if place is None:
        return Place(1, lat, lon, 0, stay.end_ms, _recent(days, today))
    return Place(
        visits=place.visits + 1,
        sum_lat=place.sum_lat + lat,
        lon=place.lon,
        sum_lon=place.sum_lon + short_way(lon - place.lon),
        last_ms=max(place.last_ms, stay.end_ms),
        days=_recent(_joined(place.days, days), today),
    )


def _joined(before: tuple[Day, ...], after: tuple[Day, ...]) -> tuple[Day, ...]:
    """The days of both; only the last of one and the first of the other can be the same."""
    if before and after and before[-1].day == after[0].day:
        one, other = before[-1], after[0]
        return (*before[:-1], Day(one.day, one.night + other.night, one.work + other.work), *after[1:])
    return before + after


def _recent(days: tuple[Day, ...], today: int) -> tuple[Day, ...]:
    return tuple(day for day in days if day.day > today - WINDOW_DAYS)


def _days_of(stay: Stay) -> Iterator[Day]:
    """The last days of a stay, by the local clock."""
    start_ms, end_ms = stay.start_ms + stay.offset_ms, stay.end_ms + stay.offset_ms
    last = end_ms // _DAY_MS
    for day in range(max(start_ms // _DAY_MS, last - WINDOW_DAYS + 1), last + 1):
        weekday = (day + 3) % 7
        night = _minutes(start_ms, end_ms, day, 0, 6)
        yield Day(day, night, _minutes(start_ms, end_ms, day, 9, 17) if weekday < 5 else 0)


def _minutes(start_ms: int, end_ms: int, day: int, from_hour: int, to_hour: int) -> int:
    midnight_ms = day * _DAY_MS
    begin_ms, until_ms = midnight_ms + from_hour * _HOUR_MS, midnight_ms + to_hour * _HOUR_MS
    return max(0, min(end_ms, until_ms) - max(start_ms, begin_ms)) // 60_000


def _leader(by_id: dict[str, Place], today: int, part: Literal["night", "work"]) -> str:
    """The place with most minutes in that part of the recent days, if there are enough of them; else none."""
    best, leader = 0, ""
    for place_id, place in sorted(by_id.items()):
        minutes = [getattr(day, part) for day in _recent(place.days, today)]
        if sum(each >= _LEAD_MINUTES for each in minutes) >= LEAD_DAYS and sum(minutes) > best:
            best, leader = sum(minutes), place_id
    return leader


def _seated(seat: Seat, leader: str, today: int) -> Seat:
    if not leader or leader == seat.holder:
        return Seat(seat.holder)
    if not seat.holder:
        return Seat(leader)
    if leader != seat.rival:
        return Seat(seat.holder, leader, today)
    return Seat(leader) if today - seat.since_day >= HOLD_DAYS else seat


def _bounded(places: Places) -> Places:
    if len(places.by_id) <= MAX_PLACES:
        return places
    kept = {*places.home, *places.work}
    oldest = min((place.last_ms, each) for each, place in places.by_id.items() if each not in kept)[1]
    return replace(places, by_id={each: place for each, place in places.by_id.items() if each != oldest})


def freeze(places: Places) -> bytes:
    """The places as bytes, the same for the same places."""
    whole = [_VERSION, places.today, places.home, places.work, list(places.by_id.items())]
    return json.dumps(whole, separators=(",", ":")).encode()


def thaw(blob: bytes) -> Places:
    """The places that were frozen.

    Raises:
        ValueError: the bytes are of another version; fold the person's stays again.
    """
    version, *rest = json.loads(blob)
    if version != _VERSION:
        raise ValueError("frozen places of another version: fold the stays again from the first")
    today, home, work, by_id = rest
    return Places({each: _place(*fields) for each, fields in by_id}, today, Seat(*home), Seat(*work))


def _place(visits: int, sum_lat: int, lon: int, sum_lon: int, last_ms: int, days: list[list[int]]) -> Place:
    return Place(visits, sum_lat, lon, sum_lon, last_ms, tuple(Day(*day) for day in days))

"""The calls that read a timeline, as the pairs of `calls.py`. The replies are the reference platform's (compat)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from unbroken import wire
from unbroken.backend.calls import get, segment
from unbroken.backend.errors import ReplyNotUnderstood
from unbroken.backend.exchange import Call, Page, body_of, instant, instant_or_none
from unbroken.backend.results import Event, Trajectory, Waypoint

if TYPE_CHECKING:
    from datetime import date

    from unbroken.outgoing import Reply


def timeline(
    user_id: str, first: date | None, last: date | None, *, all_types: bool, cursor: str | None
) -> Call[Page[Event]]:
    """GET /v2/users/{user_id}/events, a page at a time."""
    request = get(
        f"/v2/users/{segment(user_id)}/events",
        **{"from": _day(first), "to": _day(last)},
        types="all" if all_types else None,
        limit=str(wire.PAGE_MAX),
        cursor=cursor,
    )
    return Call(request, _read_events)


def event(user_id: str, event_id: str) -> Call[Event]:
    """GET /v3/users/{user_id}/events/{event_id}: a list of one."""
    return Call(get(_event_path(user_id, event_id)), _read_event)


def trajectory(user_id: str, event_id: str) -> Call[Trajectory]:
    """GET /v3/users/{user_id}/events/{event_id}/trajectory."""
    return Call(get(f"{_event_path(user_id, event_id)}/trajectory"), _read_trajectory)


def location(user_id: str) -> Call[Waypoint]:
    """GET /v2/users/{user_id}/location."""
    return Call(get(f"/v2/users/{segment(user_id)}/location"), _read_location)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _event_path(user_id: str, event_id: str) -> str:
    return f"/v3/users/{segment(user_id)}/events/{segment(event_id)}"


class _Significance(Struct, frozen=True):
    significance: str | None = None


class _Event(Struct, frozen=True):
    """Members that only some types have may be missing."""

    event_id: str
    type: str
    start: str
    end: str | None
    analysis_type: str
    install_id: str | None = None
    activation_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    duration: int | None = None
    location: _Significance | None = None
    mode: str | None = None
    distance: float | None = None


class _Waypoint(Struct, frozen=True):
    latitude: float
    longitude: float
    timestamp: str
    accuracy: float | None = None
    altitude: float | None = None
    speed: float | None = None


class _Trajectory(Struct, frozen=True):
    waypoints: list[_Waypoint]
    encoded: str


def _read_events(reply: Reply) -> Page[Event]:
    return Page([_event(told) for told in body_of(reply, list[_Event])], reply.next_cursor)


def _read_event(reply: Reply) -> Event:
    told = body_of(reply, list[_Event])
    if len(told) != 1:
        raise ReplyNotUnderstood(f"one event was asked for, {len(told)} came", ref=reply.ref)
    return _event(told[0])


def _event(told: _Event) -> Event:
    return Event(
        event_id=told.event_id,
        type=told.type,
        start_ms=instant(told.start),
        end_ms=instant_or_none(told.end),
        utc_offset_minutes=_offset_minutes(told.start),
        analysis_type=told.analysis_type,
        install_id=told.install_id,
        activation_id=told.activation_id,
        latitude=told.latitude,
        longitude=told.longitude,
        duration_ms=told.duration,
        significance=None if told.location is None else told.location.significance,
        mode=told.mode,
        distance_m=told.distance,
    )


def _offset_minutes(text: str) -> int:
    return (datetime.fromisoformat(text).utcoffset() or timedelta()) // timedelta(minutes=1)


def _read_trajectory(reply: Reply) -> Trajectory:
    told = body_of(reply, _Trajectory)
    return Trajectory([_waypoint(point) for point in told.waypoints], told.encoded)


def _read_location(reply: Reply) -> Waypoint:
    return _waypoint(body_of(reply, _Waypoint))


def _waypoint(told: _Waypoint) -> Waypoint:
    return Waypoint(
        at_ms=instant(told.timestamp),
        latitude=told.latitude,
        longitude=told.longitude,
        accuracy_m=told.accuracy,
        altitude_m=told.altitude,
        speed_m_per_s=told.speed,
    )

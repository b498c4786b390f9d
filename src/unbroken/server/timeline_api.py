"""The timeline over HTTP: events, the way of one, the last place (http-api.md, backend API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import events
from unbroken.server import samples
from unbroken.server.callers import READ_REFUSALS, reader_of
from unbroken.server.listing import AS_OF, LIST
from unbroken.server.route import Answer, Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _events(context: Context, call: Call) -> Answer:
    query = call.query
    wanted = events.Wanted(
        first_day=query.get("from"),
        last_day=query.get("to"),
        all_types=query.get("types") == "all",
        limit=query.get("limit"),
        cursor=query.get("cursor"),
        as_of=query.get("as_of"),
    )
    page = await events.events(context, reader_of(call), call.path["user_id"], wanted)
    return Answer(page.body, headers={"x-next-cursor": page.next_cursor} if page.next_cursor is not None else {})


async def _event(context: Context, call: Call) -> Answer:
    return Answer(await events.event(context, reader_of(call), call.path["user_id"], call.path["event_id"]))


async def _trajectory(context: Context, call: Call) -> Answer:
    return Answer(await events.trajectory(context, reader_of(call), call.path["user_id"], call.path["event_id"]))


async def _location(context: Context, call: Call) -> Answer:
    return Answer(await events.last_location(context, reader_of(call), call.path["user_id"]))


_EVENT: dict[str, Any] = {
    "type": "Stationary",
    "event_id": samples.EVENT_ID,
    "start": "2026-11-23T21:12:54.000+01:00",
    "end": None,
    "analysis_type": "preliminary",
    "latitude": 51.05,
    "longitude": 3.72,
    "location": {"type": "StationaryLocation", "place_id": "p1", "significance": "home"},
    "install_id": samples.INSTALL_ID,
    "activation_id": "0f6924c1a69afbf4c8996fb9",
}
_WAYPOINT = {
    "type": "Waypoint",
    "latitude": 51.05,
    "longitude": 3.72,
    "timestamp": "2026-11-23T21:12:54.000+01:00",
    "accuracy": 12,
}

ROUTES = (
    Route(
        method="GET",
        path="/v2/users/{user_id}/events",
        handler=_events,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="The events that touch some days, newest first, in the time zone of the active install.",
        reply=list[dict[str, Any]],
        query=(
            Query("from", "day", required=False, summary="First day; the beginning if left out."),
            Query("to", "day", required=False, summary="Last day, inclusive; the end if left out."),
            Query("types", "text", required=False, summary="`all` tells OffTheGrid and Unknown too.", choices=("all",)),
            AS_OF,
            *LIST,
        ),
        errors=(*READ_REFUSALS, errors.HistoryExpired),
        does="read a timeline",
        reply_headers={"x-next-cursor": "Where the next page begins, if `limit` left some out."},
        example_reply=[_EVENT],
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/events/{event_id}",
        handler=_event,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="One event, as a list of one.",
        reply=list[dict[str, Any]],
        errors=READ_REFUSALS,
        does="read an event",
        example_reply=[_EVENT],
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/events/{event_id}/trajectory",
        handler=_trajectory,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="The waypoints of an event, and the same as an encoded polyline.",
        reply=dict[str, Any],
        errors=READ_REFUSALS,
        does="read a trajectory",
        example_reply={"type": "Trajectory", "waypoints": [_WAYPOINT], "encoded": "_p~iF~ps|U"},
    ),
    Route(
        method="GET",
        path="/v2/users/{user_id}/location",
        handler=_location,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="The last known waypoint.",
        reply=dict[str, Any],
        errors=READ_REFUSALS,
        does="read a location",
        example_reply=_WAYPOINT,
    ),
)

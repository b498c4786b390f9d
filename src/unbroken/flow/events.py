"""Events: reading a timeline, from chunks that were encoded when it was computed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.domain.ids import InstallId, UserId, parse_id
from unbroken.domain.payload import DAY_MS, Outcome
from unbroken.domain.timeline.item import Fix, order_key
from unbroken.domain.timeline.trajectory import polyline, waypoints
from unbroken.flow import encoding
from unbroken.flow.as_of import timeline_as_of
from unbroken.flow.authenticate import KeyCaller
from unbroken.flow.items import judged_between
from unbroken.flow.pages import read_cursor, write_cursor
from unbroken.flow.timeline import item_of_fold, waypoint
from unbroken.flow.whose import person
from unbroken.flow.zones import day_start_ms, zone_of
from unbroken.store import days, identity, timelines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.flow.context import Context
    from unbroken.flow.encoding import Encoded
    from unbroken.flow.whose import Person, Reader
    from unbroken.store.contract import Transaction

_FIRST_DAY = date(1970, 1, 1)
_LAST_DAY = date(9999, 12, 29)
_AT_ONCE = timedelta(days=62)
"""Beside each chunk comes the same once more, so not for the chunks of years."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: those that touch these local days, both inclusive; all types, or those of the reference.

    Args:
        limit: None gives all of them.
        as_of: what was believed at this instant, epoch milliseconds; now if None.
    """

    first_day: date | None
    last_day: date | None
    all_types: bool
    limit: int | None
    cursor: str | None
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A JSON array of events, newest first, and the cursor behind it."""

    body: bytes
    next_cursor: str | None


async def events(context: Context, caller: Reader, user_id: str, wanted: Wanted) -> EventPage:
    """GET /v2/users/{user_id}/events.

    Raises:
        NotFound, InstallGone, InstallDisabled, InstallDeactivated.
        InvalidRequest: the days are in the wrong order, or the cursor is none.
    """
    first_day, last_day = wanted.first_day or _FIRST_DAY, wanted.last_day or _LAST_DAY
    if first_day > last_day:
        raise InvalidRequest(details=(("from", "`from` is a later day than `to`."),))
    after = read_cursor(wanted.cursor, int, str)

    async def load(tx: Transaction) -> EventPage:
        told = await _told_at_once(tx, caller, user_id, first_day, last_day)
        return _page(told or await _told(tx, caller, user_id, first_day, last_day), wanted, after)

    async def load_as_of(tx: Transaction) -> EventPage:
        return _page(await _told_as_of(tx, caller, user_id, first_day, last_day, wanted.as_of or 0), wanted, after)

    return await (context.store.read(load) if wanted.as_of is None else context.store.read_long(load_as_of))


@dataclass(frozen=True, slots=True)
class _Told:
    """The events of a window and around it, newest first, and what is needed to serve them."""

    from_ms: int
    to_ms: int
    events: list[Encoded]
    labels: dict[str, str]


async def _told(tx: Transaction, caller: Reader, user_id: str, first_day: date, last_day: date) -> _Told:
    of = await person(tx, caller, user_id)
    from_ms, to_ms = _window(first_day, last_day, await _zone_of(tx, of))
    chunks = await timelines.chunks(tx, of.user_id, from_ms // DAY_MS, (to_ms - 1) // DAY_MS)
    return _Told(from_ms, to_ms, _in(chunks), await _labels(tx, of))


async def _told_at_once(tx: Transaction, caller: Reader, user_id: str, first_day: date, last_day: date) -> _Told | None:
    """The same with one statement, as nearly every call of a customer's server can be answered; None where not."""
    known = parse_id(user_id)
    if not isinstance(caller, KeyCaller) or known is None or last_day - first_day > _AT_ONCE:
        return None
    from_ms, to_ms = _window(first_day, last_day, UTC)
    first, last = from_ms // DAY_MS - 1, to_ms // DAY_MS + 1  # in whichever zone the days are
    found = await days.of_user(tx, caller.app.app_id, UserId(known), first, last)
    if found is None:
        return None
    from_ms, to_ms = _window(first_day, last_day, zone_of(found.device))
    labels = {} if found.labels is None else encoding.unpack_labels(found.labels)
    return _Told(from_ms, to_ms, _in(found.chunks), labels)


async def _told_as_of(
    tx: Transaction, caller: Reader, user_id: str, first_day: date, last_day: date, as_of: int
) -> _Told:
    """The same as it was believed to be at an instant."""
    events, labels = await timeline_as_of(tx, caller, user_id, as_of)
    zone = await _zone_of(tx, await person(tx, caller, user_id))
    return _Told(*_window(first_day, last_day, zone), events, labels)


def _in(chunks: Iterable[bytes]) -> list[Encoded]:
    return [event for chunk in chunks for event in encoding.unpack_chunk(chunk)]


def _window(first_day: date, last_day: date, zone: tzinfo) -> tuple[int, int]:
    """The instants `[from, to)` of local days."""
    midnight = datetime.min.time()
    start = datetime.combine(max(first_day, _FIRST_DAY + timedelta(days=1)), midnight, zone)
    end = datetime.combine(min(last_day, _LAST_DAY) + timedelta(days=1), midnight, zone)
    from_ms = 0 if first_day <= _FIRST_DAY else day_start_ms(start)
    return from_ms, max(day_start_ms(end), from_ms + 1)


def _page(told: _Told, wanted: Wanted, after: tuple[int, str] | None) -> EventPage:
    found = [event for event in told.events if _touches(event, told) and (wanted.all_types or not event.is_hidden)]
    later = [event for event in found if not after or (-event.start_ms, event.event_id) > (-after[0], after[1])]
    page = later if wanted.limit is None else later[: wanted.limit]
    body = b"[" + b",".join(encoding.served(event, told.labels) for event in page) + b"]"
    is_more = len(later) > len(page)
    return EventPage(body, write_cursor(page[-1].start_ms, page[-1].event_id) if is_more else None)


def _touches(event: Encoded, told: _Told) -> bool:
    return event.start_ms < told.to_ms and (event.end_ms is None or event.end_ms > told.from_ms)


async def _labels(tx: Transaction, of: Person) -> dict[str, str]:
    labels = await timelines.labels(tx, of.user_id)
    return encoding.unpack_labels(labels) if labels is not None else {}


async def _zone_of(tx: Transaction, of: Person) -> tzinfo:
    """The zone of the active, else the last active install; UTC if unknown."""
    if of.user.holder is not None:
        device = await identity.device_of(tx, of.user.holder)
        return zone_of(device) if device is not None else UTC
    spans = await identity.read_spans_of_user(tx, of.user_id)
    ends = [
        (span.to_ms or 0, install_id)
        for install_id, all_of in spans.items()
        for span in all_of
        if span.outcome is Outcome.ACCEPTED
    ]
    device = await identity.device_of(tx, max(ends)[1]) if ends else None
    return zone_of(device) if device is not None else UTC


async def event(context: Context, caller: Reader, user_id: str, event_id: str) -> bytes:
    """GET /v3/users/{user_id}/events/{event_id}: a JSON array of one.

    Raises:
        NotFound, InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def load(tx: Transaction) -> bytes:
        of = await person(tx, caller, user_id)
        found = await _event(tx, of, event_id)
        return b"[" + encoding.served(found, await _labels(tx, of)) + b"]"

    return await context.store.read(load)


async def _event(tx: Transaction, of: Person, event_id: str) -> Encoded:
    row = await timelines.event(tx, of.user_id, event_id)
    if row is None:
        raise NotFound("There is no such event.")
    if row.is_removed:
        successor = f" {row.successor} stands where it stood." if row.successor else ""
        raise NotFound(f"Later data took the place of this event.{successor}")
    return encoding.unpack(row.body)


async def trajectory(context: Context, caller: Reader, user_id: str, event_id: str) -> bytes:
    """GET /v3/users/{user_id}/events/{event_id}/trajectory: waypoints, and the same as an encoded polyline.

    Raises:
        NotFound, InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def load(tx: Transaction) -> bytes:
        of = await person(tx, caller, user_id)
        found = await _event(tx, of, event_id)
        fixes = await _fixes_within(tx, of, found)
        device = await identity.device_of(tx, InstallId(found.install))
        zone = zone_of(device) if device is not None else UTC
        points = [(fix.lat, fix.lon) for fix in fixes]
        speeds = (-1.0 if fix.speed_mps is None else fix.speed_mps for fix in fixes)  # as the reference says unknown
        told = [waypoint(fix, zone) | {"speed": speed} for fix, speed in zip(fixes, speeds, strict=True)]
        return wire.encode({"type": "Trajectory", "waypoints": told, "encoded": polyline(points)})

    return await context.store.read_long(load)


async def _fixes_within(tx: Transaction, of: Person, event: Encoded) -> list[Fix]:
    judged = await judged_between(tx, of, event.start_ms, wire.LATEST_MS if event.end_ms is None else event.end_ms)
    accepted = [item_of_fold(one) for one in judged if one.outcome is Outcome.ACCEPTED]
    fixes = sorted((item for item in accepted if isinstance(item, Fix)), key=order_key)
    return waypoints(fixes, event.start_ms, event.end_ms)


async def last_location(context: Context, caller: Reader, user_id: str) -> bytes:
    """GET /v2/users/{user_id}/location: the last known waypoint.

    Raises:
        NotFound: also where nothing is known yet.
        InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def load(tx: Transaction) -> bytes:
        of = await person(tx, caller, user_id)
        head = await timelines.head(tx, of.user_id)
        if head is None or head.last_fix is None:
            raise NotFound("No location of this user is known.")
        return head.last_fix.encode()

    return await context.store.read(load)

"""Timeline: bring one person's timeline up to date, from the ledger and the payloads alone (linking.md, law 8).

The fold goes on from where it stands if everything new is later, else from the last checkpoint before the earliest
change. Only the difference is written, and only if nothing was marked due in the meantime; otherwise it stays due.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain.ids import InstallId, UserId
from unbroken.domain.ledger.people import Span, activation_id
from unbroken.domain.payload import DAY_MS, Outcome
from unbroken.domain.timeline.event import Event, EventType
from unbroken.domain.timeline.fold import fold, start, tail
from unbroken.domain.timeline.freeze import freeze, thaw
from unbroken.domain.timeline.item import Fix, Item, Motion, order_key
from unbroken.domain.timeline.places import Places, Stay, add, labels
from unbroken.domain.timeline.places import freeze as freeze_places
from unbroken.domain.timeline.places import thaw as thaw_places
from unbroken.flow import encoding
from unbroken.flow.items import Judged, judge_uploads
from unbroken.flow.zones import offset_ms, zone_of
from unbroken.store import access, identity, payloads, timelines
from unbroken.store.timelines import Due, EventRow, Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.timeline.state import State
    from unbroken.flow.context import Context
    from unbroken.flow.encoding import Encoded
    from unbroken.store.contract import Transaction
    from unbroken.store.payloads import Upload

_LONG_READ_FROM_UPLOADS: Final = 8
NOTHING_YET: Final = -1
_ALL_CHECKPOINTS_MS: Final = 2 * DAY_MS
_THINNED_MS: Final = 14 * DAY_MS


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a computation starts from.

    Args:
        cursor_ms: the time of the last item that `state` knows.
        uploads: those that may hold later items.
    """

    cursor_ms: int
    state: State
    head: Head | None
    uploads: list[tuple[InstallId, Upload]]
    spans: dict[InstallId, list[Span]]
    zones: dict[InstallId, tzinfo]
    late_window_days: int


@dataclass(frozen=True, slots=True)
class _Computed:
    """The new end of a timeline: every event from `from_ms` on, and where the fold stands."""

    events: list[tuple[Event, bool]]
    from_ms: int
    head_ms: int
    head_state: bytes
    checkpoints: list[tuple[int, bytes]]
    last_fix: str | None


async def compute(context: Context, due: Due) -> None:
    """Compute a timeline that is due; if it was marked again meanwhile, nothing is written and it stays due."""
    loaded = await context.store.read_long(lambda tx: _load(tx, due))
    if loaded is None:
        await context.store.write(lambda tx: _forget(tx, due))
        return
    if len(loaded.uploads) > _LONG_READ_FROM_UPLOADS:
        computed = await asyncio.to_thread(_compute, loaded)
    else:
        computed = _compute(loaded)
    await context.store.write(lambda tx: _write(tx, due, loaded, computed))


async def compute_within(tx: Transaction, user_id: UserId, from_ms: int) -> None:
    """Compute inside the caller's own transaction, so that from outside a change and its timelines are one.

    Args:
        from_ms: the earliest capture time that may count otherwise; whatever was due already is done along with it.
    """
    due = await timelines.mark(tx, user_id, from_ms)
    loaded = await _load(tx, due)
    if loaded is None:
        await _forget(tx, due)
    else:
        await _write(tx, due, loaded, _compute(loaded))


async def _forget(tx: Transaction, due: Due) -> None:
    """The user was retired or erased: it has no timeline."""
    if await timelines.is_still(tx, due):
        await timelines.drop(tx, due.user_id)
        await timelines.done(tx, due)


# Loading


async def _load(tx: Transaction, due: Due) -> Loaded | None:
    app_id = await identity.app_of_living_user(tx, due.user_id)
    app = await access.app_by_id(tx, app_id) if app_id is not None else None
    if app is None:
        return None
    head = await timelines.head(tx, due.user_id)
    cursor_ms, state = await _start_from(tx, due, head)
    devices = await identity.devices_of_user(tx, due.user_id)
    return Loaded(
        cursor_ms=cursor_ms,
        state=state,
        head=head,
        uploads=await payloads.of_user(tx, due.user_id, cursor_ms + 1),
        spans=await identity.read_spans_of_user(tx, due.user_id),
        zones={install_id: zone_of(device) for install_id, device in devices.items()},
        late_window_days=app.policy.late_window_days,
    )


async def _start_from(tx: Transaction, due: Due, head: Head | None) -> tuple[int, State]:
    if head is not None and head.at_ms < due.from_ms:
        return head.at_ms, thaw(head.state)
    checkpoint = await timelines.checkpoint_before(tx, due.user_id, due.from_ms)
    return (checkpoint[0], thaw(checkpoint[1])) if checkpoint else (NOTHING_YET, start(due.user_id))


# Computing


def _compute(loaded: Loaded) -> _Computed:
    judged = judge_uploads(loaded.uploads, loaded.spans, loaded.late_window_days)
    accepted = [one for one in judged if one.outcome is Outcome.ACCEPTED and one.captured_at > loaded.cursor_ms]
    items = sorted((item for one in accepted if (item := item_of_fold(one)) is not None), key=order_key)
    folded = fold(loaded.state, items)
    events = [(event, True) for event in folded.events] + [(event, False) for event in tail(folded.state)]
    fixes = [item for item in items if isinstance(item, Fix)]
    return _Computed(
        events=events,
        from_ms=_replaced_from(loaded, events),
        head_ms=folded.state.at_ms,
        head_state=freeze(folded.state),
        checkpoints=[(checkpoint.at_ms, freeze(checkpoint.state)) for checkpoint in folded.checkpoints],
        last_fix=_last_fix(fixes[-1], loaded.zones) if fixes else None,
    )


def _replaced_from(loaded: Loaded, events: Sequence[tuple[Event, bool]]) -> int:
    """Where the events begin that these replace: with them, or with what was told as open where the fold goes on."""
    if loaded.cursor_ms == NOTHING_YET:
        return 0
    open_then = tail(loaded.state)
    return min(event.start_ms for event in [*open_then, *(event for event, _ in events)])


def item_of_fold(judged: Judged) -> Item | None:
    """An accepted item as the fold reads it; custom items are kept and told, and make no event."""
    assert judged.span is not None
    activation = activation_id(judged.span)
    match judged.item:
        case wire.Location(lat=lat, lon=lon, acc=acc, speed=speed):
            return Fix(judged.captured_at, lat, lon, acc, speed, judged.install_id, activation)
        case wire.Activity(type=type_, confidence=confidence):
            return Motion(judged.captured_at, type_, confidence, judged.install_id, activation)
        case wire.Custom():
            return None


def _last_fix(fix: Fix, zones: dict[InstallId, tzinfo]) -> str:
    zone = zones.get(InstallId(fix.install), UTC)
    accuracy = None if fix.acc_m is None else round(fix.acc_m)
    return wire.encode(
        {
            "type": "Waypoint",
            "latitude": fix.lat,
            "longitude": fix.lon,
            "timestamp": wire.iso(fix.at_ms, zone),
            "accuracy": accuracy,
        }
    ).decode()


def tell(loaded: Loaded) -> tuple[list[Encoded], dict[str, str]]:
    """A timeline from its beginning, and the significance of its places, without writing anything."""
    encoded, places, _ = _encode(_compute(loaded), loaded, Places(), NOTHING_YET)
    return encoded, {place: str(label) for place, label in labels(places).items()}


# Writing


async def _write(tx: Transaction, due: Due, loaded: Loaded, computed: _Computed) -> None:
    if not await timelines.is_still(tx, due):
        return
    user_id = due.user_id
    from_ms = computed.from_ms
    places, places_until = await _places_before(tx, user_id, loaded, from_ms)
    encoded, places, places_until = _encode(computed, loaded, places, places_until)
    days = await _write_events(tx, user_id, from_ms, encoded)
    for day in sorted(days):
        await _write_chunk(tx, user_id, day)
    await _keep_checkpoints(tx, user_id, loaded, computed)
    last_fix = computed.last_fix or await _last_fix_before(tx, user_id, loaded)
    packed = encoding.pack_labels({place: str(label) for place, label in labels(places).items()})
    head = Head(computed.head_ms, computed.head_state, freeze_places(places), packed, places_until, last_fix)
    await timelines.set_head(tx, user_id, head)
    await timelines.done(tx, due)


async def _keep_checkpoints(tx: Transaction, user_id: UserId, loaded: Loaded, computed: _Computed) -> None:
    """All of the last two days, where most late data falls; before that one a day."""
    await timelines.replace_checkpoints(tx, user_id, loaded.cursor_ms + 1, computed.checkpoints)
    if computed.checkpoints:
        recent_ms = computed.head_ms - _ALL_CHECKPOINTS_MS
        await timelines.thin_checkpoints(tx, user_id, recent_ms - _THINNED_MS, recent_ms, DAY_MS)


async def _places_before(tx: Transaction, user_id: UserId, loaded: Loaded, from_ms: int) -> tuple[Places, int]:
    """The places of all closed stays before `from_ms`: as they stand, or folded anew if they know of later ones."""
    if loaded.head is not None and loaded.head.places_until < from_ms:
        return thaw_places(loaded.head.places), loaded.head.places_until
    places, until = Places(), NOTHING_YET
    devices = loaded.zones
    rows = await timelines.events_between(tx, user_id, 0, from_ms)
    for row in reversed(rows):
        event = encoding.unpack(row.body)
        if event.is_closed and event.type == EventType.STATIONARY and event.lat is not None:
            places, _ = add(places, _stay_of(event, devices))
            until = event.start_ms
    return places, until


def _stay_of(event: Encoded, zones: dict[InstallId, tzinfo]) -> Stay:
    assert event.lat is not None
    assert event.lon is not None
    assert event.end_ms is not None
    zone = zones.get(InstallId(event.install), UTC)
    return Stay(event.event_id, event.start_ms, event.end_ms, event.lat, event.lon, offset_ms(zone, event.start_ms))


def _encode(
    computed: _Computed, loaded: Loaded, places: Places, places_until: int
) -> tuple[list[Encoded], Places, int]:
    """The events as they are served, each stay at its place; a stay that is open is at a place only for now."""
    encoded = []
    for event, is_closed in computed.events:
        zone = loaded.zones.get(InstallId(event.install), UTC)
        place_id = None
        if event.type is EventType.STATIONARY and event.lat is not None and event.lon is not None:
            end_ms = event.start_ms if event.end_ms is None else event.end_ms
            at = offset_ms(zone, event.start_ms)
            after, place_id = add(places, Stay(event.event_id, event.start_ms, end_ms, event.lat, event.lon, at))
            if is_closed:
                places, places_until = after, event.start_ms
        encoded.append(encoding.encode(event, zone, is_closed=is_closed, place_id=place_id))
    return encoded, places, places_until


async def _write_events(tx: Transaction, user_id: UserId, from_ms: int, new: Sequence[Encoded]) -> set[int]:
    """Replace all events from an instant on; returns the UTC days in which something changed."""
    old = {row.event_id: row for row in await timelines.events_from(tx, user_id, from_ms)}
    changed = [row for event in new if (row := _row(event, old.get(event.event_id))) is not None]
    kept = {event.event_id for event in new}
    gone = [_removed(row, new) for row in old.values() if row.event_id not in kept and not row.is_removed]
    await timelines.set_events(tx, user_id, [*changed, *gone])
    return {row.start_ms // DAY_MS for row in [*changed, *gone]}


def _row(event: Encoded, before: EventRow | None) -> EventRow | None:
    """The event as a row, or None where it is there already, the same."""
    body = encoding.pack(event)
    if before is not None and before.body == body and not before.is_removed:
        return None
    revision = before.revision + 1 if before is not None else 1
    return EventRow(event.event_id, event.start_ms, event.end_ms, revision, body, event.place_id)


def _removed(row: EventRow, new: Sequence[Encoded]) -> EventRow:
    """A tombstone that names the event which now covers most of its time."""
    successor = max(new, key=lambda event: _overlap_ms(row, event), default=None)
    return EventRow(
        row.event_id,
        row.start_ms,
        row.end_ms,
        row.revision + 1,
        b"",
        None,
        successor.event_id if successor is not None and _overlap_ms(row, successor) > 0 else None,
        is_removed=True,
    )


def _overlap_ms(row: EventRow, event: Encoded) -> int:
    ends = [end for end in (row.end_ms, event.end_ms) if end is not None]
    return min(ends, default=max(row.start_ms, event.start_ms) + 1) - max(row.start_ms, event.start_ms)


async def _write_chunk(tx: Transaction, user_id: UserId, day: int) -> None:
    rows = await timelines.events_between(tx, user_id, day * DAY_MS, (day + 1) * DAY_MS)
    chunk = encoding.pack_chunk([encoding.unpack(row.body) for row in rows]) if rows else None
    await timelines.set_chunk(tx, user_id, day, chunk)


async def _last_fix_before(tx: Transaction, user_id: UserId, loaded: Loaded) -> str | None:
    """The last fix that stands, where this computation met none: the head's, or found anew after a step back."""
    if loaded.head is None or loaded.head.last_fix is None or loaded.cursor_ms == loaded.head.at_ms:
        return loaded.head.last_fix if loaded.head is not None else None
    uploads = await payloads.of_user(tx, user_id, 0)
    judged = judge_uploads(uploads, loaded.spans, loaded.late_window_days)
    items = [item for one in judged if one.outcome is Outcome.ACCEPTED and isinstance(item := item_of_fold(one), Fix)]
    return _last_fix(max(items, key=order_key), loaded.zones) if items else None

"""Timeline: bring one person's timeline up to date, from the ledger and the payloads alone (linking.md, law 8).

The fold goes on from where it stands if everything new is later, else from the last checkpoint before the earliest
change, but never from before the floor where its payloads were let go of (`retention.py`). Only the difference is
written, and only if nothing was marked due in the meantime; otherwise it stays due.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Final

from unbroken import wire
from unbroken.domain.ids import InstallId, UserId
from unbroken.domain.ledger.people import Span, activation_id
from unbroken.domain.payload import Outcome
from unbroken.domain.timeline.event import Event, EventType
from unbroken.domain.timeline.fold import fold, tail
from unbroken.domain.timeline.freeze import freeze
from unbroken.domain.timeline.item import Fix, Item, Motion, order_key
from unbroken.domain.timeline.places import Places, Stay, add, labels
from unbroken.domain.timeline.places import freeze as freeze_places
from unbroken.domain.timeline.places import thaw as thaw_places
from unbroken.flow import encoding
from unbroken.flow.fold_start import NOTHING_YET, begin, readable, start_from
from unbroken.flow.items import Judged, judge_uploads
from unbroken.flow.late_windows import windows_of
from unbroken.flow.timeline_rows import Rewritten, Told, put
from unbroken.flow.zones import offset_ms, zone_of
from unbroken.store import due_timelines, identity, payloads, retention, timelines
from unbroken.store.timelines import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.late_windows import LateWindows
    from unbroken.domain.timeline.state import State
    from unbroken.flow.context import Context
    from unbroken.flow.encoding import Encoded
    from unbroken.store.contract import Transaction
    from unbroken.store.due_timelines import Due
    from unbroken.store.payloads import Upload
    from unbroken.store.retention import Floor

_LONG_READ_FROM_UPLOADS: Final = 8


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a computation starts from.

    Args:
        cursor_ms: up to when `state` knows every item that can count.
        uploads: those that may hold later items.
        floor: before it nothing can be computed any more.
    """

    cursor_ms: int
    state: State
    head: Head | None
    uploads: list[tuple[InstallId, Upload]]
    spans: dict[InstallId, list[Span]]
    zones: dict[InstallId, tzinfo]
    late_windows: LateWindows
    floor: Floor | None = None


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


async def compute_within(tx: Transaction, user_id: UserId, from_ms: int) -> Rewritten:
    """Compute inside the caller's own transaction, so that from outside a change and its timelines are one.

    Args:
        from_ms: the earliest capture time that may count otherwise; whatever was due already is done along with it.
    """
    due = await due_timelines.mark(tx, user_id, from_ms)
    loaded = await _load(tx, due)
    if loaded is None:
        stood = await timelines.events_from(tx, user_id, 0)
        await _forget(tx, due)
        return Rewritten([row for row in stood if not row.is_removed])
    if loaded.head is None and loaded.floor is None and not loaded.uploads:
        await due_timelines.done(tx, due)  # nothing was ever told, so there is nothing to keep, nor to take away later
        return Rewritten()
    return await _write(tx, due, loaded, _compute(loaded))


async def compute_due(tx: Transaction, users: Sequence[UserId]) -> dict[UserId, Rewritten]:
    """Likewise those of some users that are due."""
    marked = await due_timelines.due_of(tx, users)
    return {due.user_id: await compute_within(tx, due.user_id, due.from_ms) for due in marked}


async def _forget(tx: Transaction, due: Due) -> None:
    """The user was retired or erased: it has no timeline."""
    if await due_timelines.is_still(tx, due):
        await timelines.drop(tx, due.user_id)
        await due_timelines.done(tx, due)


# Loading


async def _load(tx: Transaction, due: Due) -> Loaded | None:
    head = await timelines.head(tx, due.user_id)
    floor = await retention.floor(tx, due.user_id)
    return await _loaded(tx, due.user_id, head, floor, await start_from(tx, due, head, floor))


async def load_all(tx: Transaction, user_id: UserId, *, to_ms: int | None = None) -> Loaded | None:
    """What a timeline is computed from anew, as far back as that is possible; None for a user that has none.

    Args:
        to_ms: uploads that hold only later items may be left out.
    """
    floor = await retention.floor(tx, user_id)
    return await _loaded(tx, user_id, None, floor, begin(user_id, floor), to_ms)


async def _loaded(
    tx: Transaction,
    user_id: UserId,
    head: Head | None,
    floor: Floor | None,
    start_from: tuple[int, State],
    to_ms: int | None = None,
) -> Loaded | None:
    app_id = await identity.app_of_living_user(tx, user_id)
    if app_id is None:
        return None
    cursor_ms, state = start_from
    devices = await identity.devices_of_user(tx, user_id)
    return Loaded(
        cursor_ms=cursor_ms,
        state=state,
        head=head,
        uploads=await (
            payloads.of_user(tx, user_id, cursor_ms + 1)
            if to_ms is None
            else payloads.of_user_between(tx, user_id, cursor_ms + 1, to_ms)
        ),
        spans=await identity.read_spans_of_user(tx, user_id),
        zones={install_id: zone_of(device) for install_id, device in devices.items()},
        late_windows=await windows_of(tx, app_id, devices),
        floor=floor,
    )


# Computing


def items_after(loaded: Loaded, after_ms: int) -> list[Item]:
    """The accepted items of the loaded uploads that were captured after an instant, in the order of the fold."""
    judged = judge_uploads(loaded.uploads, loaded.spans, loaded.late_windows)
    accepted = [one for one in judged if one.outcome is Outcome.ACCEPTED and one.captured_at > after_ms]
    return sorted((item for one in accepted if (item := item_of_fold(one)) is not None), key=order_key)


def _compute(loaded: Loaded) -> _Computed:
    items = items_after(loaded, loaded.cursor_ms)
    folded = fold(loaded.state, items)
    events = [(event, True) for event in folded.events] + [(event, False) for event in tail(folded.state)]
    return _Computed(
        events=events,
        from_ms=_replaced_from(loaded, events),
        head_ms=folded.state.at_ms,
        head_state=freeze(folded.state),
        checkpoints=[(checkpoint.at_ms, freeze(checkpoint.state)) for checkpoint in folded.checkpoints],
        last_fix=last_fix(items, loaded.zones),
    )


def _replaced_from(loaded: Loaded, events: Sequence[tuple[Event, bool]]) -> int:
    """Where the events begin that these replace: with them, or with what was told as open where the fold goes on."""
    if loaded.state.at_ms == NOTHING_YET:
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


def last_fix(items: Sequence[Item], zones: dict[InstallId, tzinfo]) -> str | None:
    """The last fix of some items in order, as it is served."""
    fix = next((item for item in reversed(items) if isinstance(item, Fix)), None)
    if fix is None:
        return None
    return wire.encode(waypoint(fix, zones.get(InstallId(fix.install), UTC))).decode()


def waypoint(fix: Fix, zone: tzinfo) -> dict[str, Any]:
    """A fix as the reference sends it, in whole metres of accuracy."""
    return {
        "type": "Waypoint",
        "latitude": fix.lat,
        "longitude": fix.lon,
        "timestamp": wire.iso(fix.at_ms, zone),
        "accuracy": None if fix.acc_m is None else round(fix.acc_m),
    }


# Writing


async def _write(tx: Transaction, due: Due, loaded: Loaded, computed: _Computed) -> Rewritten:
    if not await due_timelines.is_still(tx, due):
        return Rewritten()
    rewritten = await put(tx, due.user_id, await _told(tx, due.user_id, loaded, computed))
    await due_timelines.done(tx, due)
    return rewritten


async def told_anew(tx: Transaction, user_id: UserId, loaded: Loaded) -> Told:
    """What `load_all` loaded as a timeline, without writing anything; it takes long where there is much of it."""
    return await _told(tx, user_id, loaded, _compute(loaded))


async def _told(tx: Transaction, user_id: UserId, loaded: Loaded, computed: _Computed) -> Told:
    places, places_until = await _places_before(tx, user_id, loaded, computed.from_ms)
    encoded, places, places_until = _encode(computed, loaded, places, places_until)
    fix = computed.last_fix or await _last_fix_before(tx, user_id, loaded)
    packed = encoding.pack_labels({place: str(label) for place, label in labels(places).items()})
    head = Head(computed.head_ms, computed.head_state, freeze_places(places), packed, places_until, fix)
    return Told(computed.from_ms, encoded, head, loaded.cursor_ms + 1, computed.checkpoints)


async def _places_before(tx: Transaction, user_id: UserId, loaded: Loaded, from_ms: int) -> tuple[Places, int]:
    """The places of all closed stays before `from_ms`: as they stand, or folded anew if they know of later ones."""
    if loaded.head is not None and loaded.head.places_until < from_ms:
        known = readable(thaw_places, loaded.head.places)
        if known is not None:
            return known, loaded.head.places_until
    places, until = Places(), NOTHING_YET
    for row in reversed(await timelines.events_between(tx, user_id, 0, from_ms)):
        event = encoding.unpack(row.body)
        if event.is_closed and event.type == EventType.STATIONARY and event.lat is not None:
            places, _ = add(places, _stay_of(event, loaded.zones))
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


async def _last_fix_before(tx: Transaction, user_id: UserId, loaded: Loaded) -> str | None:
    """The last fix that stands, where this computation met none: the head's, or found anew after a step back."""
    head, floor = loaded.head, loaded.floor
    if head is not None and (head.last_fix is None or loaded.cursor_ms == head.at_ms):
        return head.last_fix
    since_ms, before = (NOTHING_YET, None) if floor is None else (floor.at_ms, floor.last_fix)
    if loaded.cursor_ms == since_ms:
        return before
    whole = replace(loaded, uploads=await payloads.of_user(tx, user_id, since_ms + 1))
    return last_fix(items_after(whole, since_ms), loaded.zones) or before

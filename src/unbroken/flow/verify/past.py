"""The past of a timeline: events whose payloads are gone, so that nothing tells them anew, and withdrawn ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from unbroken.domain.timeline.event import EventType, event_id
from unbroken.domain.timeline.freeze import thaw
from unbroken.flow import encoding
from unbroken.flow.verify.finding import shown
from unbroken.store import inspection

if TYPE_CHECKING:
    from unbroken.domain.ids import UserId
    from unbroken.flow.timeline import Loaded
    from unbroken.flow.timeline_rows import Told
    from unbroken.flow.verify.timelines import Event, Looked
    from unbroken.store.contract import Transaction


def check_kept(looked: Looked, told: Told, loaded: Loaded) -> None:
    """The events before the floor: each is as its body says, and they tile the time up to those that are told."""
    if loaded.floor is None:
        return
    state = thaw(loaded.floor.state)
    if state.user_id != looked.user_id or state.at_ms > loaded.floor.at_ms:
        looked.add("floors", "state", f"of {shown(state.user_id)} at {state.at_ms}", "its own, before its instant")
    kept = [row for row in looked.events if not row.is_removed and row.start_ms < told.from_ms]
    starts = [row.start_ms for row in kept[1:]] + [event.start_ms for event in told.events[:1]]
    for row, after in zip(kept, starts, strict=False):
        if not is_as_its_body_says(row) or revision_of(row) != row.revision:
            looked.add("events", row.event_id, "other columns than its body", "the same")
        if row.end_ms != after:
            looked.add("events", f"{row.event_id} end_ms", shown(row.end_ms), shown(after))


async def check_removed(tx: Transaction, looked: Looked) -> None:
    """What was told once, and is not any more: its id is that of its beginning, and its successor is there."""
    known = {row.event_id for row in looked.events}
    for row in looked.events:
        if not row.is_removed or row.event_id in looked.wrong_events:
            continue
        if kind_of(looked.user_id, row) is None:
            looked.add("events", row.event_id, f"a removed event at {shown(row.start_ms)}", "an id of that instant")
        if row.body != b"" or row.place_id is not None or revision_of(row) != row.revision:
            looked.add("events", row.event_id, "a removed event that tells something", "its id and its time only")
        is_lost = row.successor is not None and row.successor not in known
        if is_lost and not await inspection.was_erased_in_part(tx, looked.user_id):
            looked.add("events", f"{row.event_id} successor", shown(row.successor), "an event that is there, or none")


def is_as_its_body_says(row: Event) -> bool:
    """Whether the columns of an event are those of its body."""
    try:
        event = encoding.unpack(row.body)
    except (msgspec.MsgspecError, TypeError):
        return False
    columns = (event.event_id, event.start_ms, event.end_ms, event.place_id)
    return columns == (row.event_id, row.start_ms, row.end_ms, row.place_id) and encoding.pack(event) == row.body


def kind_of(user_id: UserId, row: Event) -> str | None:
    """The type of event that its id and its beginning make, if any does."""
    if not isinstance(row.start_ms, int):
        return None
    return next((kind for kind in EventType if event_id(user_id, kind, row.start_ms) == row.event_id), None)


def revision_of(row: Event) -> int:
    """Its revision, or the least that one can be."""
    return row.revision if isinstance(row.revision, int) and row.revision >= 1 else 1

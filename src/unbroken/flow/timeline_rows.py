"""Timeline rows: a timeline that was told anew takes the place of what is kept, and only the difference is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.payload import DAY_MS
from unbroken.flow import encoding
from unbroken.store import timelines
from unbroken.store.timelines import EventRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbroken.domain.ids import UserId
    from unbroken.flow.encoding import Encoded
    from unbroken.store.contract import Transaction
    from unbroken.store.timelines import Head

_ALL_CHECKPOINTS_MS: Final = 2 * DAY_MS
_THINNED_MS: Final = 14 * DAY_MS


@dataclass(frozen=True, slots=True)
class Told:
    """The new end of a timeline: every event from `from_ms` on, and where its fold stands.

    Args:
        checkpoints_from: from when on the checkpoints replace those that are kept.
    """

    from_ms: int
    events: Sequence[Encoded]
    head: Head
    checkpoints_from: int
    checkpoints: Sequence[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The events of a timeline that were there before, and those that took their place."""

    before: Sequence[EventRow] = ()
    after: Sequence[EventRow] = ()


async def put(tx: Transaction, user_id: UserId, told: Told) -> Rewritten:
    """Let a timeline be as it was told; returns what differs."""
    old = {row.event_id: row for row in await timelines.events_from(tx, user_id, told.from_ms)}
    changed = [row for event in told.events if (row := row_of(event, old.get(event.event_id))) is not None]
    stood = no_more(old.values(), told.events)
    gone = [_removed(row, told.events) for row in stood]
    await timelines.set_events(tx, user_id, [*changed, *gone])
    for day in sorted({row.start_ms // DAY_MS for row in [*changed, *gone]}):
        await _write_chunk(tx, user_id, day)
    await _keep_checkpoints(tx, user_id, told)
    await timelines.set_head(tx, user_id, told.head)
    other = [old[row.event_id] for row in changed if row.event_id in old and not old[row.event_id].is_removed]
    return Rewritten([*other, *stood], changed)


def row_of(event: Encoded, before: EventRow | None) -> EventRow | None:
    """The event as a row, or None where it is there already, the same."""
    body = encoding.pack(event)
    if before is not None and before.body == body and not before.is_removed:
        return None
    revision = before.revision + 1 if before is not None else 1
    return EventRow(event.event_id, event.start_ms, event.end_ms, revision, body, event.place_id)


def no_more(old: Iterable[EventRow], new: Sequence[Encoded]) -> list[EventRow]:
    """The events that stand no more."""
    kept = {event.event_id for event in new}
    return [row for row in old if row.event_id not in kept and not row.is_removed]


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


async def _keep_checkpoints(tx: Transaction, user_id: UserId, told: Told) -> None:
    """All of the last two days, where most late data falls; before that one a day."""
    await timelines.replace_checkpoints(tx, user_id, told.checkpoints_from, told.checkpoints)
    if told.checkpoints:
        recent_ms = told.head.at_ms - _ALL_CHECKPOINTS_MS
        await timelines.thin_checkpoints(tx, user_id, recent_ms - _THINNED_MS, recent_ms, DAY_MS)

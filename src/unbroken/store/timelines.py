"""Timelines as rows, with their checkpoints and chunks.

Every statement names the user (architecture.md, engines).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import UserId
    from unbroken.store.contract import Row, Transaction


@dataclass(frozen=True, slots=True)
class Head:
    """Where a user's fold stands: the frozen state after the item at `at_ms`, and the second fold over places.

    Args:
        places_until: start of the last stay that the places know of.
        last_fix: JSON of the last accepted location, as `GET /v2/users/{id}/location` answers it.
    """

    at_ms: int
    state: bytes
    places: bytes
    labels: bytes
    places_until: int
    last_fix: str | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event: its place in time, how it is served, and its history.

    Args:
        body: msgpack of `flow.encoding.Encoded`, the event as it is served.
        successor: the event that stands where this one stood, if it was removed.
    """

    event_id: str
    start_ms: int
    end_ms: int | None
    revision: int
    body: bytes
    place_id: str | None
    successor: str | None = None
    is_removed: bool = False


HEAD: Final = "at_ms, state, places, labels, places_until, last_fix"
EVENT: Final = "event_id, start_ms, end_ms, revision, body, place_id, successor, is_removed"

_HEAD: Final = f"SELECT {HEAD} FROM timelines WHERE user_id = $1"
_LABELS: Final = "SELECT labels FROM timelines WHERE user_id = $1"
_SET_HEAD: Final = (
    f"INSERT INTO timelines (user_id, {HEAD})"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
    " ON CONFLICT (user_id) DO UPDATE SET at_ms = excluded.at_ms, state = excluded.state, places = excluded.places,"
    " labels = excluded.labels, places_until = excluded.places_until, last_fix = excluded.last_fix"
)
_CHECKPOINT: Final = (
    "SELECT at_ms, state FROM checkpoints WHERE user_id = $1 AND at_ms < $2 ORDER BY at_ms DESC LIMIT 1"
)
_ADD_CHECKPOINT: Final = (
    "INSERT INTO checkpoints (user_id, at_ms, state) VALUES ($1, $2, $3)"
    " ON CONFLICT (user_id, at_ms) DO UPDATE SET state = excluded.state"
)
_THIN_CHECKPOINTS: Final = (
    "DELETE FROM checkpoints WHERE user_id = $1 AND at_ms >= $2 AND at_ms < $3 AND at_ms NOT IN"
    " (SELECT max(at_ms) FROM checkpoints WHERE user_id = $1 AND at_ms >= $2 AND at_ms < $3 GROUP BY at_ms / $4)"
)
_CUT_CHECKPOINTS: Final = "DELETE FROM checkpoints WHERE user_id = $1 AND at_ms >= $2"
_EVENTS_FROM: Final = f"SELECT {EVENT} FROM events WHERE user_id = $1 AND start_ms >= $2 ORDER BY start_ms, event_id"
_EVENTS_OF_DAYS: Final = (
    f"SELECT {EVENT} FROM events WHERE user_id = $1 AND start_ms >= $2 AND start_ms < $3 AND NOT is_removed"
    " ORDER BY start_ms DESC, event_id"
)
_HAS_EVENTS: Final = "SELECT 1 FROM events WHERE user_id = $1 LIMIT 1"
_EVENT_BY_ID: Final = f"SELECT {EVENT} FROM events WHERE user_id = $1 AND event_id = $2"
_SET_EVENT: Final = (
    f"INSERT INTO events (user_id, {EVENT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " ON CONFLICT (user_id, event_id) DO UPDATE SET start_ms = excluded.start_ms, end_ms = excluded.end_ms,"
    " revision = excluded.revision, body = excluded.body, place_id = excluded.place_id,"
    " successor = excluded.successor, is_removed = excluded.is_removed"
)
_SET_CHUNK: Final = (
    "INSERT INTO chunks (user_id, day, body) VALUES ($1, $2, $3)"
    " ON CONFLICT (user_id, day) DO UPDATE SET body = excluded.body"
)
_DROP_CHUNK: Final = "DELETE FROM chunks WHERE user_id = $1 AND day = $2"
_CHUNKS: Final = (
    "SELECT body FROM chunks WHERE user_id = $1 AND day <= $3"
    " AND day >= coalesce((SELECT max(day) FROM chunks WHERE user_id = $1 AND day < $2), $2) ORDER BY day DESC"
)
_DROP: Final = tuple(
    f"DELETE FROM {table} WHERE user_id = $1" for table in ("timelines", "checkpoints", "floors", "events", "chunks")
)


async def head(tx: Transaction, user_id: UserId) -> Head | None:
    """Where the user's fold stands."""
    row = await tx.one(_HEAD, user_id)
    return Head(*row) if row else None


async def labels(tx: Transaction, user_id: UserId) -> bytes | None:
    """The significance of the user's places, as `flow.encoding.pack_labels` packed it."""
    row = await tx.one(_LABELS, user_id)
    return bytes(row[0]) if row else None


async def set_head(tx: Transaction, user_id: UserId, new: Head) -> None:
    """Replace it."""
    await tx.run(_SET_HEAD, user_id, new.at_ms, new.state, new.places, new.labels, new.places_until, new.last_fix)


async def checkpoint_before(tx: Transaction, user_id: UserId, before_ms: int) -> tuple[int, bytes] | None:
    """The last checkpoint whose items all lie before an instant: (its time, the frozen state)."""
    row = await tx.one(_CHECKPOINT, user_id, before_ms)
    return (row[0], row[1]) if row else None


async def replace_checkpoints(
    tx: Transaction, user_id: UserId, from_ms: int, checkpoints: Sequence[tuple[int, bytes]]
) -> None:
    """Replace all checkpoints from an instant on."""
    await tx.run(_CUT_CHECKPOINTS, user_id, from_ms)
    await tx.many(_ADD_CHECKPOINT, [(user_id, at_ms, state) for at_ms, state in checkpoints])


async def thin_checkpoints(tx: Transaction, user_id: UserId, from_ms: int, to_ms: int, every_ms: int) -> None:
    """Keep one checkpoint in each stretch of `every_ms`, the last."""
    await tx.run(_THIN_CHECKPOINTS, user_id, from_ms, to_ms, every_ms)


async def events_from(tx: Transaction, user_id: UserId, from_ms: int) -> list[EventRow]:
    """The events that begin at an instant or later, removed ones too."""
    return [event_of(row) for row in await tx.all(_EVENTS_FROM, user_id, from_ms)]


async def has_events(tx: Transaction, user_id: UserId) -> bool:
    """Whether anything was ever told of the user, removed or not."""
    return await tx.one(_HAS_EVENTS, user_id) is not None


async def events_between(tx: Transaction, user_id: UserId, from_ms: int, to_ms: int) -> list[EventRow]:
    """The events that begin in `[from_ms, to_ms)`, newest first, without removed ones."""
    return [event_of(row) for row in await tx.all(_EVENTS_OF_DAYS, user_id, from_ms, to_ms)]


async def event(tx: Transaction, user_id: UserId, event_id: str) -> EventRow | None:
    """One event, removed or not."""
    row = await tx.one(_EVENT_BY_ID, user_id, event_id)
    return event_of(row) if row else None


async def set_events(tx: Transaction, user_id: UserId, events: Sequence[EventRow]) -> None:
    """Write events, new or changed."""
    await tx.many(
        _SET_EVENT,
        [
            (user_id, e.event_id, e.start_ms, e.end_ms, e.revision, e.body, e.place_id, e.successor, e.is_removed)
            for e in events
        ],
    )


async def set_chunk(tx: Transaction, user_id: UserId, day: int, body: bytes | None) -> None:
    """Write the chunk of a UTC day (days since the epoch), or drop it where no event begins in it."""
    if body is None:
        await tx.run(_DROP_CHUNK, user_id, day)
    else:
        await tx.run(_SET_CHUNK, user_id, day, body)


async def chunks(tx: Transaction, user_id: UserId, first_day: int, last_day: int) -> list[bytes]:
    """The chunks of some days, newest first, and the one before them: its last event may reach into them."""
    return [row[0] for row in await tx.all(_CHUNKS, user_id, first_day, last_day)]


async def drop(tx: Transaction, user_id: UserId) -> None:
    """The user has no timeline any more."""
    for statement in _DROP:
        await tx.run(statement, user_id)


def event_of(row: Row) -> EventRow:
    """From `EVENT`."""
    event_id, start_ms, end_ms, revision, body, place_id, successor, is_removed = row
    return EventRow(event_id, start_ms, end_ms, revision, body, place_id, successor, bool(is_removed))

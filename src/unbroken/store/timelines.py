"""What is derived from ledger and payloads, as rows: timelines with their checkpoints and chunks, and what is due.

Every statement names the user, or one install (architecture.md, engines).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import InstallId, UserId
from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Transaction

# Who stands otherwise than the tokens say

_ADD_CHANGE: Final = "INSERT INTO changes (install_id, standing, at) VALUES ($1, $2, $3)"
_CHANGES: Final = (
    "SELECT seq, install_id, standing, at FROM changes WHERE seq > $1 AND (at >= $2 OR install_id IS NULL) ORDER BY seq"
)
_FORGET_CHANGES: Final = (
    "DELETE FROM changes WHERE at < $1 AND (install_id IS NOT NULL"
    " OR seq < (SELECT max(c.seq) FROM changes c WHERE c.install_id IS NULL))"
)


ERASED: Final = "erased"
"""The standing of an erased install, which is named by its keyed hash."""


@dataclass(frozen=True, slots=True)
class Change:
    """An install stands otherwise since `at`; without an install it is the apps that changed."""

    seq: int
    install_id: InstallId | None
    standing: str
    at: int


async def add_change(tx: Transaction, install_id: InstallId, standing: str, at: int) -> None:
    """Tell whoever takes uploads."""
    await tx.run(_ADD_CHANGE, install_id, standing, at)


async def add_change_of_apps(tx: Transaction, at: int) -> None:
    """Tell whoever remembers apps and keys that one was stopped, revoked or given another policy."""
    await tx.run(_ADD_CHANGE, None, "apps", at)


async def add_erased(tx: Transaction, digest: bytes, at: int) -> None:
    """Tell whoever takes uploads that the install with this keyed hash was erased."""
    await tx.run(_ADD_CHANGE, digest, ERASED, at)


async def changes_after(tx: Transaction, seq: int, since_ms: int) -> list[Change]:
    """The changes after `seq`: those of apps, and of installs those not older than the tokens they are to correct."""
    return [Change(row[0], row[1], row[2], row[3]) for row in await tx.all(_CHANGES, seq, since_ms)]


async def forget_changes(tx: Transaction, before_ms: int) -> None:
    """Drop changes that every valid token knows of.

    The last of apps stays: a process that did nothing meanwhile learns from it that one was stopped, or let go on.
    """
    await tx.run(_FORGET_CHANGES, before_ms)


# What is due

_AGAIN: Final = (
    " ON CONFLICT (user_id) DO UPDATE SET version = due.version + 1, retry_at = 0,"
    " from_ms = CASE WHEN excluded.from_ms < due.from_ms THEN excluded.from_ms ELSE due.from_ms END"
)
_MARK_DUE: Final = (
    "INSERT INTO due (user_id, from_ms, version) SELECT $1, $2, $4 FROM installs WHERE install_id = $3 AND used"
    f"{_AGAIN}"
)
_MARK_UPLOAD_DUE: Final = (
    "INSERT INTO due (user_id, from_ms, version) SELECT user_id, $2, $3 FROM installs WHERE install_id = $1"
    f"{_AGAIN} RETURNING from_ms"
)
_MARK: Final = f"INSERT INTO due (user_id, from_ms, version) VALUES ($1, $2, $3){_AGAIN} RETURNING from_ms, version"
_DUE: Final = (
    "SELECT user_id, from_ms, version, failures FROM due WHERE retry_at <= $1 AND user_id > $2"
    " ORDER BY user_id LIMIT $3"
)
_AGAIN_DUE: Final = "UPDATE due SET version = version + 1 WHERE user_id = $1"
_DUE_OF: Final = "SELECT from_ms, version FROM due WHERE user_id = $1"
_DONE: Final = "DELETE FROM due WHERE user_id = $1 AND version = $2"
_CHANCE: Final = SystemRandomness()
_DUE_VERSION: Final = "SELECT version FROM due WHERE user_id = $1 FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Due:
    """A timeline that must be computed again from an instant on.

    Args:
        version: tells whether it was marked again since; never the same for two marks.
        failures: how often computing it failed (`store.set_aside`).
    """

    user_id: UserId
    from_ms: int
    version: int
    failures: int = 0


def _first_version() -> int:
    """One that no earlier mark of this timeline had: whoever still computes for that must not take this for it.

    It is by chance, as the row that could count is gone once a timeline is computed; nobody ever sees it.
    """
    return int.from_bytes(_CHANCE.secret(6), "big")


async def mark_due(tx: Transaction, install_id: InstallId, user_id: UserId, from_ms: int) -> None:
    """Mark a user's timeline, unless the install that changed never uploaded anything."""
    if await tx.run(_MARK_DUE, user_id, from_ms, install_id, _first_version()):
        tx.wake()


async def mark_uploads_due(tx: Transaction, uploads: Sequence[tuple[InstallId, int]]) -> list[bool]:
    """Mark the timelines of whoever some installs belong to, each from an instant on; which of them are there."""
    marked = await tx.each(_MARK_UPLOAD_DUE, [(one, from_ms, _first_version()) for one, from_ms in uploads])
    if any(marked):
        tx.wake()  # it may be another worker's to compute
    return [bool(rows) for rows in marked]


async def mark(tx: Transaction, user_id: UserId, from_ms: int) -> Due:
    """Mark a user's timeline, whoever uploaded what."""
    row = await tx.one(_MARK, user_id, from_ms, _first_version())
    assert row is not None
    return Due(user_id, row[0], row[1])


async def due(tx: Transaction, now_ms: int, after: bytes, limit: int) -> list[Due]:
    """A page of the timelines that are due, without those that are set aside.

    Args:
        now_ms: by the system's clock.
        after: the user id behind which the page begins; b"" for the first.
    """
    return [Due(UserId(row[0]), *row[1:]) for row in await tx.all(_DUE, now_ms, after, limit)]


async def due_of(tx: Transaction, users: Sequence[UserId]) -> list[Due]:
    """Those of some users' timelines that are due."""
    rows = [(user_id, await tx.one(_DUE_OF, user_id)) for user_id in users]
    return [Due(user_id, row[0], row[1]) for user_id, row in rows if row is not None]


async def begin_again(tx: Transaction, user_id: UserId) -> None:
    """What is being computed of this timeline starts from rows that are about to change: let it not be written."""
    await tx.run(_AGAIN_DUE, user_id)


async def is_still(tx: Transaction, marked: Due) -> bool:
    """Whether nothing was marked since."""
    row = await tx.one(_DUE_VERSION, marked.user_id)
    return row is not None and row[0] == marked.version


async def done(tx: Transaction, marked: Due) -> None:
    """It is computed."""
    await tx.run(_DONE, marked.user_id, marked.version)


# Timelines


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


_HEAD: Final = "SELECT at_ms, state, places, labels, places_until, last_fix FROM timelines WHERE user_id = $1"
_LABELS: Final = "SELECT labels FROM timelines WHERE user_id = $1"
_SET_HEAD: Final = (
    "INSERT INTO timelines (user_id, at_ms, state, places, labels, places_until, last_fix)"
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
_EVENT: Final = "event_id, start_ms, end_ms, revision, body, place_id, successor, is_removed"
_EVENTS_FROM: Final = f"SELECT {_EVENT} FROM events WHERE user_id = $1 AND start_ms >= $2 ORDER BY start_ms, event_id"
_EVENTS_OF_DAYS: Final = (
    f"SELECT {_EVENT} FROM events WHERE user_id = $1 AND start_ms >= $2 AND start_ms < $3 AND NOT is_removed"
    " ORDER BY start_ms DESC, event_id"
)
_HAS_EVENTS: Final = "SELECT 1 FROM events WHERE user_id = $1 LIMIT 1"
_EVENT_BY_ID: Final = f"SELECT {_EVENT} FROM events WHERE user_id = $1 AND event_id = $2"
_SET_EVENT: Final = (
    f"INSERT INTO events (user_id, {_EVENT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
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
    return [_event(row) for row in await tx.all(_EVENTS_FROM, user_id, from_ms)]


async def has_events(tx: Transaction, user_id: UserId) -> bool:
    """Whether anything was ever told of the user, removed or not."""
    return await tx.one(_HAS_EVENTS, user_id) is not None


async def events_between(tx: Transaction, user_id: UserId, from_ms: int, to_ms: int) -> list[EventRow]:
    """The events that begin in `[from_ms, to_ms)`, newest first, without removed ones."""
    return [_event(row) for row in await tx.all(_EVENTS_OF_DAYS, user_id, from_ms, to_ms)]


async def event(tx: Transaction, user_id: UserId, event_id: str) -> EventRow | None:
    """One event, removed or not."""
    row = await tx.one(_EVENT_BY_ID, user_id, event_id)
    return _event(row) if row else None


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


def _event(row: tuple[object, ...]) -> EventRow:
    event_id, start_ms, end_ms, revision, body, place_id, successor, is_removed = row
    return EventRow(event_id, start_ms, end_ms, revision, body, place_id, successor, bool(is_removed))  # type: ignore[arg-type]

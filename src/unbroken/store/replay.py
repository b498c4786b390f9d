"""Replayed timelines as rows, beside the ones that are served. Keyed by the run's scope and by the user."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.ids import AppId, UserId
from unbroken.store.timelines import HEAD, Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Transaction

# Runs

_RUN: Final = "SELECT app_id, policy, holder FROM replay_runs WHERE scope = $1"
_SET_RUN: Final = (
    "INSERT INTO replay_runs (scope, app_id, policy, holder) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (scope) DO UPDATE SET policy = excluded.policy, holder = excluded.holder"
)
_DROP_RUN: Final = "DELETE FROM replay_runs WHERE scope = $1"
_TABLES: Final = ("replay_timelines", "replay_checkpoints", "replay_events")
_DROP_SOME: Final = "SELECT user_id FROM replay_users WHERE scope = $1 LIMIT $2"


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: under which policy, and who works on it now."""

    app_id: AppId
    policy: dict[str, Any]
    holder: bytes


async def run(tx: Transaction, scope: bytes) -> Run | None:
    """The run of an app, or of one user."""
    row = await tx.one(_RUN, scope)
    return Run(AppId(row[0]), json.loads(row[1]), bytes(row[2])) if row else None


async def set_run(tx: Transaction, scope: bytes, new: Run) -> None:
    """Begin a run, or take one over."""
    await tx.run(_SET_RUN, scope, new.app_id, json.dumps(new.policy), new.holder)


async def drop_run(tx: Transaction, scope: bytes) -> None:
    """It is over."""
    await tx.run(_DROP_RUN, scope)


# Users

_USERS: Final = (
    "SELECT user_id FROM users WHERE app_id = $1 AND redirect IS NULL AND user_id > $2 ORDER BY user_id LIMIT $3"
)
_COUNT_USERS: Final = "SELECT count(*) FROM users WHERE app_id = $1 AND redirect IS NULL"
_USER: Final = "SELECT inputs, difference, is_waiting FROM replay_users WHERE scope = $1 AND user_id = $2"
_SET_USER: Final = (
    "INSERT INTO replay_users (scope, user_id, inputs, difference, is_waiting) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (scope, user_id) DO UPDATE SET inputs = excluded.inputs, difference = excluded.difference,"
    " is_waiting = excluded.is_waiting"
)
_SWITCHED: Final = "UPDATE replay_users SET is_waiting = FALSE WHERE scope = $1 AND user_id = $2"
_DROP_USER: Final = "DELETE FROM replay_users WHERE scope = $1 AND user_id = $2"
_SPANS: Final = (
    "SELECT s.install_id, s.user_id, s.outcome, s.from_ms, s.to_ms FROM installs i"
    " JOIN spans s ON s.install_id = i.install_id WHERE i.user_id = $1 ORDER BY s.install_id, s.from_ms"
)
_UPLOADS: Final = (
    "SELECT i.install_id, count(*), max(p.seq) FROM installs i JOIN payloads p ON p.install_id = i.install_id"
    " WHERE i.user_id = $1 GROUP BY i.install_id ORDER BY i.install_id"
)
_FLOOR: Final = "SELECT at_ms FROM floors WHERE user_id = $1"
_LAST_FACT: Final = "SELECT max(position) FROM facts WHERE user_id = $1"
"""An erasure of a part rewrites uploads in their places; it leaves a fact."""
_REPLAYED: Final = (
    "SELECT max(f.position) FROM installs i JOIN facts f ON f.install_id = i.install_id AND f.kind = 'replayed'"
    " WHERE i.user_id = $1"
)


_LAST_RECEIPT: Final = (
    "SELECT max(p.received_at) FROM installs i JOIN payloads p ON p.install_id = i.install_id WHERE i.user_id = $1"
)
_INPUTS: Final = (_SPANS, _UPLOADS, _FLOOR, _LAST_FACT, _REPLAYED)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay made of one user.

    Args:
        inputs: `inputs` as they were; others by now mean that it is stale.
        difference: `flow.difference.Difference` as JSON.
        is_waiting: whether the side tables hold a timeline that was not switched yet.
    """

    inputs: bytes
    difference: str
    is_waiting: bool


async def users(tx: Transaction, app_id: AppId, after: bytes, limit: int) -> list[UserId]:
    """Some users of an app that have a timeline of their own, in order of their ids."""
    return [UserId(row[0]) for row in await tx.all(_USERS, app_id, after, limit)]


async def count_users(tx: Transaction, app_id: AppId) -> int:
    """How many there are."""
    row = await tx.one(_COUNT_USERS, app_id)
    return int(row[0]) if row else 0


async def replayed(tx: Transaction, scope: bytes, user_id: UserId) -> Replayed | None:
    """What the run made of a user so far."""
    row = await tx.one(_USER, scope, user_id)
    return Replayed(bytes(row[0]), row[1], bool(row[2])) if row else None


async def set_replayed(tx: Transaction, scope: bytes, user_id: UserId, new: Replayed) -> None:
    """Write it."""
    await tx.run(_SET_USER, scope, user_id, new.inputs, new.difference, new.is_waiting)


async def inputs(tx: Transaction, user_id: UserId) -> list[Any]:
    """What a timeline is made from, as far as it can change: spans, uploads, verdicts, and where its fold begins."""
    return [list(map(tuple, await tx.all(statement, user_id))) for statement in _INPUTS]


async def last_receipt(tx: Transaction, user_id: UserId) -> int:
    """When the last of a user's kept uploads was received; 0 without any."""
    row = await tx.one(_LAST_RECEIPT, user_id)
    return int(row[0] or 0) if row else 0


# Timelines beside the ones that are served


@dataclass(frozen=True, slots=True)
class Side:
    """A replayed timeline: every event from `from_ms` on, newest last, and where its fold stands.

    Args:
        checkpoints_from: from when on its checkpoints replace others.
        events: (event id, start, packed event).
    """

    from_ms: int
    checkpoints_from: int
    head: Head
    checkpoints: Sequence[tuple[int, bytes]]
    events: Sequence[tuple[str, int, bytes]]


_HEAD: Final = f"from_ms, checkpoints_from, {HEAD}"
_SIDE: Final = f"SELECT {_HEAD} FROM replay_timelines WHERE scope = $1 AND user_id = $2"
_ADD_SIDE: Final = (
    f"INSERT INTO replay_timelines (scope, user_id, {_HEAD}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
_CHECKPOINTS: Final = "SELECT at_ms, state FROM replay_checkpoints WHERE scope = $1 AND user_id = $2 ORDER BY at_ms"
_ADD_CHECKPOINT: Final = "INSERT INTO replay_checkpoints (scope, user_id, at_ms, state) VALUES ($1, $2, $3, $4)"
_EVENTS: Final = (
    "SELECT event_id, start_ms, body FROM replay_events WHERE scope = $1 AND user_id = $2 ORDER BY start_ms, event_id"
)
_ADD_EVENT: Final = "INSERT INTO replay_events (scope, user_id, event_id, start_ms, body) VALUES ($1, $2, $3, $4, $5)"


async def set_side(tx: Transaction, scope: bytes, user_id: UserId, new: Side) -> None:
    """Keep a replayed timeline; there must be none."""
    head = new.head
    await tx.run(
        _ADD_SIDE, scope, user_id, new.from_ms, new.checkpoints_from,
        head.at_ms, head.state, head.places, head.labels, head.places_until, head.last_fix,
    )  # fmt: skip
    await tx.many(_ADD_CHECKPOINT, [(scope, user_id, *checkpoint) for checkpoint in new.checkpoints])
    await tx.many(_ADD_EVENT, [(scope, user_id, *event) for event in new.events])


async def side(tx: Transaction, scope: bytes, user_id: UserId) -> Side | None:
    """The replayed timeline of a user."""
    row = await tx.one(_SIDE, scope, user_id)
    if row is None:
        return None
    checkpoints = [(at_ms, state) for at_ms, state in await tx.all(_CHECKPOINTS, scope, user_id)]
    events = [(event_id, start_ms, body) for event_id, start_ms, body in await tx.all(_EVENTS, scope, user_id)]
    return Side(row[0], row[1], Head(*row[2:]), checkpoints, events)


async def drop_side(tx: Transaction, scope: bytes, user_id: UserId) -> None:
    """Throw a replayed timeline away; what differed stays known."""
    for table in _TABLES:
        await tx.run(f"DELETE FROM {table} WHERE scope = $1 AND user_id = $2", scope, user_id)
    await tx.run(_SWITCHED, scope, user_id)


async def drop_user(tx: Transaction, scope: bytes, user_id: UserId) -> None:
    """Throw away all that the run made of a user."""
    await drop_side(tx, scope, user_id)
    await tx.run(_DROP_USER, scope, user_id)


async def drop_some(tx: Transaction, scope: bytes, limit: int) -> int:
    """Throw away what a run made of some users; returns of how many."""
    found = [UserId(row[0]) for row in await tx.all(_DROP_SOME, scope, limit)]
    for user_id in found:
        await drop_user(tx, scope, user_id)
    return len(found)

"""Everything held on one person, table by table, found and deleted. A new table with personal data is added here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from unbroken import wire
from unbroken.domain.ids import AppId, FactId, InstallId, UserId
from unbroken.store import answers, sealed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from unbroken.domain.ids import ExternalId
    from unbroken.store.contract import Transaction

Digest = Callable[[bytes], bytes]

OF_NOBODY: Final = frozenset(
    {
        "apps",
        "api_keys",
        "audit",  # keyed hashes only
        "limit_uses",  # keyed hashes, for a minute or two
        "quota_uses",  # of keys and apps
        "log_head",
        "log_home",
        "log_partitions",
        "log_taken",
        "reckoning",
        "receipts",  # signed, and with keyed hashes only
        "schema_migrations",
        "seal",
        "sealing",
        "sqlite_sequence",
        "tombstones",
        "workers",
    }
)
"""The tables that hold nothing of any person, in clear."""

OF_THE_LOG: Final = frozenset({"log_records"})
"""What waits to be processed, of which the payload log itself lets go (`PayloadLog.take`)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a person is called anywhere: users (with the retired ones), installs, external ids, credential digests.

    Args:
        sealed_ids: the external ids as the tables have them.
    """

    users: list[UserId]
    installs: list[InstallId]
    external_ids: list[ExternalId]
    credentials: list[bytes]
    sealed_ids: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[bytes]:
        """Those of users and installs."""
        return [*self.users, *self.installs]


_REDIRECTING: Final = "SELECT user_id FROM users WHERE app_id = $1 AND redirect = $2 ORDER BY user_id"
_INSTALLS: Final = "SELECT install_id, credential_digest FROM installs WHERE app_id = $1 AND user_id = $2"
_SPENT: Final = "SELECT digest FROM spent_credentials WHERE install_id = $1"
_CARRIED: Final = "SELECT sealed_id FROM carriers WHERE app_id = $1 AND user_id = $2"

_OF_CAPTURES: Final = (
    ("payloads", "DELETE FROM payloads WHERE install_id = $1"),
    ("dead letters", "DELETE FROM dead_letters WHERE install_id = $1"),
    ("registrations", "DELETE FROM registrations WHERE install_id = $1"),
    ("authentication codes", "DELETE FROM auth_codes WHERE redeemed_by = $1"),
    ("kept answers", "DELETE FROM idempotency WHERE caller = $1"),
    ("refused links", "DELETE FROM refused_links WHERE install_id = $1"),
)
_OF_INSTALL: Final = (
    *_OF_CAPTURES,
    ("activations", "DELETE FROM spans WHERE install_id = $1"),
    ("credentials", "DELETE FROM spent_credentials WHERE install_id = $1"),
    ("changes", "DELETE FROM changes WHERE install_id = $1"),
    ("used proofs", "DELETE FROM used_proofs WHERE install_id = $1"),
    ("imports", "DELETE FROM imports WHERE id = $1"),
    ("installs", "DELETE FROM installs WHERE install_id = $1"),
)
_OF_REPLAYS: Final = (
    ("replayed events", "DELETE FROM replay_events WHERE user_id = $1"),
    ("replayed timelines", "DELETE FROM replay_checkpoints WHERE user_id = $1"),
    ("replayed timelines", "DELETE FROM replay_timelines WHERE user_id = $1"),
    ("replayed timelines", "DELETE FROM replay_users WHERE user_id = $1"),
    ("replayed timelines", "DELETE FROM replay_runs WHERE scope = $1"),
)
_OF_USER: Final = (
    ("events", "DELETE FROM events WHERE user_id = $1"),
    ("timeline days", "DELETE FROM chunks WHERE user_id = $1"),
    ("checkpoints", "DELETE FROM checkpoints WHERE user_id = $1"),
    ("checkpoints", "DELETE FROM floors WHERE user_id = $1"),
    ("timelines", "DELETE FROM timelines WHERE user_id = $1"),
    *_OF_REPLAYS,
    ("due", "DELETE FROM due WHERE user_id = $1"),
    ("kept answers", "DELETE FROM idempotency WHERE user_id = $1"),
    ("external ids", "DELETE FROM carriers WHERE user_id = $1"),
    ("imports", "DELETE FROM imports WHERE id = $1"),
    ("users", "DELETE FROM users WHERE user_id = $1"),
)
_OF_EXTERNAL_ID: Final = (("authentication codes", "DELETE FROM auth_codes WHERE app_id = $1 AND sealed_id = $2"),)


# Finding


async def find(tx: Transaction, app_id: AppId, user_id: UserId) -> Found:
    """Every name of a user, who does not redirect."""
    users = [user_id]
    for one in users:  # grows on the way: whatever redirects to one that redirects
        users += [UserId(row[0]) for row in await tx.all(_REDIRECTING, app_id, one)]
    installs, sealed_ids = [], []
    for one in users:
        installs += await tx.all(_INSTALLS, app_id, one)
        sealed_ids += [row[0] for row in await tx.all(_CARRIED, app_id, one)]
    external_ids = [sealed.unseal(tx, app_id, one) for one in sealed_ids]
    credentials = [bytes(row[1]) for row in installs]
    for row in installs:
        credentials += [bytes(spent[0]) for spent in await tx.all(_SPENT, row[0])]
    return Found(users, [InstallId(row[0]) for row in installs], external_ids, credentials, sealed_ids)


# Deleting

Deleted = dict[str, int]
"""How many rows were deleted, by what they held."""


async def delete(tx: Transaction, app_id: AppId, found: Found) -> Deleted:
    """Delete a person from every table but the ledger; what waits in the payload log is the log's."""
    deleted: Deleted = {}
    for install_id in found.installs:
        await _delete(tx, _OF_INSTALL, (install_id,), deleted)
    for user_id in found.users:
        await _delete(tx, _OF_USER, (user_id,), deleted)
    for external_id in found.external_ids:
        await _delete(tx, _OF_EXTERNAL_ID, (app_id, await sealed.seal(tx, app_id, external_id)), deleted)
    return deleted


async def _delete(
    tx: Transaction,
    statements: tuple[tuple[str, str], ...],
    of: tuple[bytes | str | int, ...],
    deleted: Deleted,
) -> None:
    for what, statement in statements:
        deleted[what] = deleted.get(what, 0) + await tx.run(statement, *of)


_OF_RELEASED: Final = (
    "DELETE FROM auth_codes WHERE app_id = $1 AND sealed_id = $2"
    " AND NOT EXISTS (SELECT 1 FROM carriers c WHERE c.app_id = $1 AND c.sealed_id = $2)"
)


async def delete_codes(tx: Transaction, app_id: AppId, released: Iterable[ExternalId]) -> int:
    """Delete the authentication codes for external ids that a person gave up, unless they are another's by now.

    Returns:
        How many were deleted.
    """
    return sum([await tx.run(_OF_RELEASED, app_id, await sealed.seal(tx, app_id, one)) for one in sorted(released)])


_BARE_INSTALL: Final = "UPDATE installs SET device = $2, credential_key = NULL WHERE install_id = $1"
_BARE_SPENT: Final = "UPDATE spent_credentials SET spent_key = NULL WHERE install_id = $1"


async def empty_install(tx: Transaction, install_id: InstallId, device: str) -> Deleted:
    """Delete what an install captured and reported; that it was there, and whose it was, stays in the ledger.

    Args:
        device: JSON that stands in the place of what was reported.
    """
    deleted: Deleted = {}
    await _delete(tx, _OF_CAPTURES, (install_id,), deleted)
    deleted["device facts"] = await tx.run(_BARE_INSTALL, install_id, device)
    await tx.run(_BARE_SPENT, install_id)
    return deleted


_REWRITE_UPLOAD: Final = "UPDATE payloads SET first_t = $3, last_t = $4, body = $5 WHERE install_id = $1 AND seq = $2"
_SET_REACH: Final = "UPDATE payloads SET reach_ms = $3 WHERE install_id = $1 AND seq = $2"
_DROP_UPLOAD: Final = "DELETE FROM payloads WHERE install_id = $1 AND seq = $2"
_DROP_REMOVED: Final = (
    "DELETE FROM events WHERE user_id = $1 AND is_removed AND start_ms < $3 AND (end_ms IS NULL OR end_ms > $2)"
)


async def drop_upload(tx: Transaction, install_id: InstallId, seq: int) -> None:
    """Delete one upload."""
    await tx.run(_DROP_UPLOAD, install_id, seq)


async def rewrite_upload(
    tx: Transaction, install_id: InstallId, seq: int, *, first_t: int, last_t: int, body: bytes
) -> None:
    """Give an upload another body, of which nothing is captured outside `first_t` to `last_t`."""
    await tx.run(_REWRITE_UPLOAD, install_id, seq, first_t, last_t, body)


async def set_reach(tx: Transaction, install_id: InstallId, seq: int, reach_ms: int) -> None:
    """See `store.payloads.Upload`."""
    await tx.run(_SET_REACH, install_id, seq, reach_ms)


async def drop_removed_events(tx: Transaction, user_id: UserId, from_ms: int, to_ms: int) -> int:
    """Delete what is still known of events that were on the timeline within some time, and are not any more."""
    return await tx.run(_DROP_REMOVED, user_id, from_ms, to_ms)


async def drop_replays(tx: Transaction, user_id: UserId) -> Deleted:
    """Delete what was computed of a user beside the timeline that is served."""
    deleted: Deleted = {}
    await _delete(tx, _OF_REPLAYS, (user_id,), deleted)
    return deleted


# The ledger

_HIDE: Final = (
    "UPDATE facts SET fact_id = $2, install_id = $3, user_id = $4, subject = $5, sealed_id = NULL, fields = '{}',"
    " reason = NULL, actor = CASE WHEN actor LIKE 'install:%' THEN 'install' ELSE actor END, is_hidden = TRUE"
    " WHERE position = $1"
)
_NAMES: Final = "SELECT position, fact_id, install_id, user_id, subject FROM facts"
_AT: Final = f"{_NAMES} WHERE position = $1"
_OF_ERASED_INSTALL: Final = f"{_NAMES} WHERE app_id = $1 AND install_id = $2"
_ERASURES_OF_USER: Final = f"{_NAMES} WHERE app_id = $1 AND user_id = $2 AND kind = 'erased'"
_REWRITE: Final = "UPDATE facts SET user_id = $2, fields = $3 WHERE position = $1"
_FORGET_TRACE: Final = "DELETE FROM traces WHERE fact_id = $1"
_SHORT: Final = 12


async def hide_facts(tx: Transaction, app_id: AppId, found: Found, positions: Iterable[int], digest: Digest) -> int:
    """Leave of some facts, and of all that name an install, their place and time, and keyed hashes of what they named.

    Returns:
        How many facts were rewritten.
    """
    rows: dict[int, Sequence[Any]] = {}
    for position in positions:
        rows |= {row[0]: row for row in await tx.all(_AT, position)}
    for install_id in found.installs:
        rows |= {row[0]: row for row in await tx.all(_OF_ERASED_INSTALL, app_id, install_id)}
    for user_id in found.users:
        rows |= {row[0]: row for row in await tx.all(_ERASURES_OF_USER, app_id, user_id)}
    for position, *names in rows.values():
        await tx.run(_FORGET_TRACE, names[0])
        await tx.run(_HIDE, position, *(None if name is None else digest(bytes(name))[:_SHORT] for name in names))
    return len(rows)


async def rewrite_fact(tx: Transaction, position: int, user_id: UserId | None, fields: Mapping[str, Any]) -> None:
    """Let a fact name its user by another id, and say what else it says otherwise."""
    await tx.run(_REWRITE, position, user_id, wire.encode(fields).decode())


# Answers that were given to others

_FORGET_UNDO_ANSWER: Final = "DELETE FROM undo_answers WHERE subject = $1"
_KEPT: Final = "SELECT caller, idempotency_key, reply FROM idempotency WHERE user_id = $1"
_FORGET_KEPT: Final = "DELETE FROM idempotency WHERE caller = $1 AND idempotency_key = $2"


async def forget_answers(
    tx: Transaction, facts: Iterable[FactId], gone: Collection[FactId], others: Iterable[UserId], found: Found
) -> int:
    """Delete the kept answers to undos, and to calls about others, that name the person.

    Args:
        facts: links and undos that the person ever had to do with.
        gone: those of them that are not there any more.
        others: users that it ever had to do with.

    Returns:
        How many were deleted.
    """
    names = [id_.hex().encode() for id_ in found.ids] + [json.dumps(one).encode() for one in found.external_ids]
    names += [json.dumps(one, ensure_ascii=False).encode() for one in found.external_ids]
    deleted = 0
    for fact_id in facts:
        answer = await answers.answer_to(tx, fact_id)
        if answer is not None and (fact_id in gone or _names_any(answer, names)):
            deleted += await tx.run(_FORGET_UNDO_ANSWER, fact_id)
    for user_id in others:
        for caller, key, reply in await tx.all(_KEPT, user_id):
            if _names_any(sealed.unseal_body(tx, caller, reply), names):
                deleted += await tx.run(_FORGET_KEPT, caller, key)
    return deleted


def _names_any(body: bytes, names: Iterable[bytes]) -> bool:
    return any(name in body for name in names)

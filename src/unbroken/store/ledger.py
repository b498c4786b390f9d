"""The ledger's rows: append a fact, read the facts that concern one person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unbroken import wire
from unbroken.domain.ids import AppId, ExternalId, FactId, InstallId, UserId
from unbroken.domain.ledger.facts import FactKind
from unbroken.store.sealed import seal, seal_if_any, unseal, unseal_if_any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.store.contract import Transaction


class Entry(NamedTuple):
    """A fact as a row: what it names, what else it says, and who said it why."""

    fact_id: FactId
    at: int
    kind: FactKind
    actor: str
    install_id: InstallId | None = None
    user_id: UserId | None = None
    external_id: ExternalId | None = None
    fields: Mapping[str, Any] | None = None
    reason: str | None = None
    position: int = 0
    is_hidden: bool = False
    """Whether an erasure has put keyed hashes in the place of what it named."""
    subject: FactId | None = None
    """What an `unlinked` fact cancels; its fields say it too, this one can be looked up by."""


_APPEND: Final = (
    "INSERT INTO facts (app_id, fact_id, at, kind, install_id, user_id, sealed_id, fields, actor, reason, subject,"
    " is_hidden) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, FALSE) RETURNING position"
)
_COLUMNS: Final = (
    "position, fact_id, at, kind, install_id, user_id, sealed_id, fields, actor, reason, is_hidden, subject"
)
_OF_APP: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND position > $2 ORDER BY position LIMIT $3"
_BY_ID: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND fact_id = $2"
_NAMING_INSTALL: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND install_id = $2"
_NAMING_USER: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND user_id = $2"
_GAVE_OUT: Final = (
    "SELECT 1 FROM facts WHERE app_id = $1 AND user_id = $2 AND kind IN ('registered', 'unlinked') LIMIT 1"
)
_NAMING_EXTERNAL_ID: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND sealed_id = $2"
_POLICIES: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND kind = 'policy changed'"
_REPLAYS: Final = (
    f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND install_id = $2 AND kind = 'replayed' ORDER BY at, position"
)
_LAST_AT: Final = "SELECT max(at) FROM facts WHERE app_id = $1 AND at <= $2"
_NEWEST_AT: Final = "SELECT at FROM facts ORDER BY position DESC LIMIT 1"
_CANCELLING: Final = f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND subject = $2"
_OF_USER: Final = (
    f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND position > $3 AND ("
    "install_id IN (SELECT install_id FROM installs WHERE user_id = $2)"
    " OR user_id = $2 OR user_id IN (SELECT user_id FROM users WHERE redirect = $2)"
    " OR subject IN (SELECT f.fact_id FROM facts f JOIN installs i ON i.install_id = f.install_id WHERE i.user_id = $2)"
    ") ORDER BY position LIMIT $4"
)
_COUNT: Final = "SELECT kind, count(*) FROM facts GROUP BY kind"
_LINKED_SINCE: Final = "SELECT sealed_id FROM installs WHERE user_id = $1 AND linked_at > $2 AND sealed_id IS NOT NULL"


async def append(tx: Transaction, app_id: AppId, entry: Entry) -> int:
    """Add a fact; returns its position."""
    row = await tx.one(
        _APPEND,
        app_id,
        entry.fact_id,
        entry.at,
        entry.kind.value,
        entry.install_id,
        entry.user_id,
        await seal_if_any(tx, app_id, entry.external_id),
        wire.encode(entry.fields or {}).decode(),
        entry.actor,
        entry.reason,
        entry.subject,
    )
    assert row is not None
    return int(row[0])


async def facts_of_app(tx: Transaction, app_id: AppId, after: int, limit: int) -> list[Entry]:
    """The facts of an app in order, from position `after`."""
    return [_entry(tx, app_id, row) for row in await tx.all(_OF_APP, app_id, after, limit)]


async def fact(tx: Transaction, app_id: AppId, fact_id: FactId) -> Entry | None:
    """One fact."""
    row = await tx.one(_BY_ID, app_id, fact_id)
    return _entry(tx, app_id, row) if row else None


async def naming_install(tx: Transaction, app_id: AppId, install_id: InstallId) -> list[Entry]:
    """The facts that name an install."""
    return [_entry(tx, app_id, row) for row in await tx.all(_NAMING_INSTALL, app_id, install_id)]


async def naming_user(tx: Transaction, app_id: AppId, user_id: UserId) -> list[Entry]:
    """The facts that name a user."""
    return [_entry(tx, app_id, row) for row in await tx.all(_NAMING_USER, app_id, user_id)]


async def gave_out(tx: Transaction, app_id: AppId, user_id: UserId) -> bool:
    """Whether a registration or an undo gave a user id out; an erasure may have taken that fact away."""
    return await tx.one(_GAVE_OUT, app_id, user_id) is not None


async def naming_external_id(tx: Transaction, app_id: AppId, external_id: ExternalId) -> list[Entry]:
    """The facts that name an external id."""
    sealed_id = await seal(tx, app_id, external_id)
    return [_entry(tx, app_id, row) for row in await tx.all(_NAMING_EXTERNAL_ID, app_id, sealed_id)]


async def policies(tx: Transaction, app_id: AppId) -> list[Entry]:
    """The changes of an app's policy."""
    return [_entry(tx, app_id, row) for row in await tx.all(_POLICIES, app_id)]


async def replays(tx: Transaction, app_id: AppId, install_id: InstallId) -> list[Entry]:
    """What says under which policy an install's uploads were judged anew, in order of time."""
    return [_entry(tx, app_id, row) for row in await tx.all(_REPLAYS, app_id, install_id)]


async def last_at(tx: Transaction, app_id: AppId, until_ms: int) -> int:
    """The time of the last fact of an app up to an instant; 0 where there is none."""
    row = await tx.one(_LAST_AT, app_id, until_ms)
    return int(row[0]) if row and row[0] is not None else 0


async def newest_at(tx: Transaction) -> int:
    """The time of the newest fact of all; 0 where there is none."""
    row = await tx.one(_NEWEST_AT)
    return int(row[0]) if row else 0


async def cancelling(tx: Transaction, app_id: AppId, subject: FactId) -> list[Entry]:
    """The facts that cancel a fact."""
    return [_entry(tx, app_id, row) for row in await tx.all(_CANCELLING, app_id, subject)]


async def facts_of_user(tx: Transaction, app_id: AppId, user_id: UserId, after: int, limit: int) -> list[Entry]:
    """The facts that name a user, a user retired into it, or an install of it.

    Oldest first, from position `after`; with those that cancel them.
    """
    return [_entry(tx, app_id, row) for row in await tx.all(_OF_USER, app_id, user_id, after, limit)]


async def links_since(tx: Transaction, app_id: AppId, user_id: UserId, external_id: ExternalId, since_ms: int) -> int:
    """How many installs were linked to an external id after an instant (linking.md, bursts)."""
    rows = await tx.all(_LINKED_SINCE, user_id, since_ms)
    return [unseal(tx, app_id, row[0]) for row in rows].count(external_id)


async def count_by_kind(tx: Transaction) -> dict[str, int]:
    """How many facts of each kind there are, over all apps; a seeded lab goes on counting from here."""
    return {row[0]: int(row[1]) for row in await tx.all(_COUNT)}


def _entry(tx: Transaction, app_id: AppId, row: tuple[Any, ...]) -> Entry:
    return Entry(
        position=row[0],
        fact_id=FactId(row[1]),
        at=row[2],
        kind=FactKind(row[3]),
        install_id=InstallId(row[4]) if row[4] is not None else None,
        user_id=UserId(row[5]) if row[5] is not None else None,
        external_id=unseal_if_any(tx, app_id, row[6]),
        fields=json.loads(row[7]),
        actor=row[8],
        reason=row[9],
        is_hidden=bool(row[10]),
        subject=FactId(row[11]) if row[11] is not None else None,
    )

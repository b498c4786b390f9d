"""The ledger's rows: append a fact, read the facts that concern one person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.ids import AppId, ExternalId, FactId, InstallId, UserId
from unbroken.domain.ledger.facts import FactKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.store.contract import Transaction


@dataclass(frozen=True, slots=True)
class Entry:
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


_APPEND: Final = (
    "INSERT INTO facts (app_id, fact_id, at, kind, install_id, user_id, external_id, fields, actor, reason)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING position"
)
_COLUMNS: Final = "position, fact_id, at, kind, install_id, user_id, external_id, fields, actor, reason"
_OF_USER: Final = (
    f"SELECT {_COLUMNS} FROM facts WHERE app_id = $1 AND position > $3 AND ("
    "install_id IN (SELECT install_id FROM installs WHERE user_id = $2)"
    " OR user_id = $2 OR user_id IN (SELECT user_id FROM users WHERE redirect = $2)"
    ") ORDER BY position LIMIT $4"
)
_COUNT: Final = "SELECT kind, count(*) FROM facts GROUP BY kind"
_LINKS_SINCE: Final = "SELECT count(*) FROM installs WHERE user_id = $1 AND external_id = $2 AND linked_at > $3"


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
        entry.external_id,
        json.dumps(entry.fields or {}),
        entry.actor,
        entry.reason,
    )
    assert row is not None
    return int(row[0])


async def facts_of_user(tx: Transaction, app_id: AppId, user_id: UserId, after: int, limit: int) -> list[Entry]:
    """The facts that name a user, a user retired into it, or an install of it; oldest first, from position `after`."""
    return [_entry(row) for row in await tx.all(_OF_USER, app_id, user_id, after, limit)]


async def links_since(tx: Transaction, user_id: UserId, external_id: ExternalId, since_ms: int) -> int:
    """How many installs were linked to an external id after an instant (linking.md, bursts)."""
    row = await tx.one(_LINKS_SINCE, user_id, external_id, since_ms)
    assert row is not None
    return int(row[0])


async def count_by_kind(tx: Transaction) -> dict[str, int]:
    """How many facts of each kind there are, over all apps; a seeded lab goes on counting from here."""
    return {row[0]: int(row[1]) for row in await tx.all(_COUNT)}


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(
        position=row[0],
        fact_id=FactId(row[1]),
        at=row[2],
        kind=FactKind(row[3]),
        install_id=InstallId(row[4]) if row[4] is not None else None,
        user_id=UserId(row[5]) if row[5] is not None else None,
        external_id=ExternalId(row[6]) if row[6] is not None else None,
        fields=json.loads(row[7]),
        actor=row[8],
        reason=row[9],
    )

"""Everything held on one person, table by table, found and deleted. A new table with personal data is added here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import AppId, ExternalId, InstallId, UserId

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

Digest = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """What a person is called anywhere: users (with the retired ones), installs, external ids, credential digests."""

    users: list[UserId]
    installs: list[InstallId]
    external_ids: list[ExternalId]
    credentials: list[bytes]


_USERS: Final = "SELECT user_id FROM users WHERE app_id = $1 AND (user_id = $2 OR redirect = $2) ORDER BY user_id"
_INSTALLS: Final = "SELECT install_id, credential_digest FROM installs WHERE app_id = $1 AND user_id = $2"
_SPENT: Final = "SELECT digest FROM spent_credentials WHERE install_id = $1"
_CARRIED: Final = "SELECT external_id FROM carriers WHERE app_id = $1 AND user_id = $2"

_OF_INSTALL: Final = (
    ("payloads", "DELETE FROM payloads WHERE install_id = $1"),
    ("waiting uploads", "DELETE FROM log_records WHERE install_id = $1"),
    ("activations", "DELETE FROM spans WHERE install_id = $1"),
    ("credentials", "DELETE FROM spent_credentials WHERE install_id = $1"),
    ("registrations", "DELETE FROM registrations WHERE install_id = $1"),
    ("authentication codes", "DELETE FROM auth_codes WHERE redeemed_by = $1"),
    ("changes", "DELETE FROM changes WHERE install_id = $1"),
    ("installs", "DELETE FROM installs WHERE install_id = $1"),
)
_OF_USER: Final = (
    ("events", "DELETE FROM events WHERE user_id = $1"),
    ("timeline days", "DELETE FROM chunks WHERE user_id = $1"),
    ("checkpoints", "DELETE FROM checkpoints WHERE user_id = $1"),
    ("timelines", "DELETE FROM timelines WHERE user_id = $1"),
    ("due", "DELETE FROM due WHERE user_id = $1"),
    ("kept answers", "DELETE FROM idempotency WHERE user_id = $1"),
    ("external ids", "DELETE FROM carriers WHERE user_id = $1"),
    ("users", "DELETE FROM users WHERE user_id = $1"),
)
_OF_EXTERNAL_ID: Final = (("authentication codes", "DELETE FROM auth_codes WHERE app_id = $1 AND external_id = $2"),)
_HIDE_INSTALL: Final = (
    "UPDATE facts SET install_id = $3, external_id = NULL, fields = '{}', reason = NULL, is_hidden = TRUE"
    " WHERE app_id = $1 AND install_id = $2"
)
_HIDE_USER: Final = (
    "UPDATE facts SET user_id = $3, fields = '{}', reason = NULL, is_hidden = TRUE WHERE app_id = $1 AND user_id = $2"
)


async def find(tx: Transaction, app_id: AppId, user_id: UserId) -> Found:
    """Every name of a user, who does not redirect."""
    users = [UserId(row[0]) for row in await tx.all(_USERS, app_id, user_id)]
    installs = await tx.all(_INSTALLS, app_id, user_id)
    credentials = [bytes(row[1]) for row in installs]
    for row in installs:
        credentials += [bytes(spent[0]) for spent in await tx.all(_SPENT, row[0])]
    external_ids = [ExternalId(row[0]) for row in await tx.all(_CARRIED, app_id, user_id)]
    return Found(users, [InstallId(row[0]) for row in installs], external_ids, credentials)


async def delete(tx: Transaction, app_id: AppId, found: Found, digest: Digest) -> dict[str, int]:
    """Delete it all; the ledger's facts keep their place and time, and only keyed hashes of what they named.

    Returns:
        How many rows were deleted, by what they held.
    """
    deleted: dict[str, int] = {}
    facts = 0
    for install_id in found.installs:
        await _delete(tx, _OF_INSTALL, (install_id,), deleted)
        facts += await tx.run(_HIDE_INSTALL, app_id, install_id, digest(install_id)[:12])
    for user_id in found.users:
        await _delete(tx, _OF_USER, (user_id,), deleted)
        facts += await tx.run(_HIDE_USER, app_id, user_id, digest(user_id)[:12])
    for external_id in found.external_ids:
        await _delete(tx, _OF_EXTERNAL_ID, (app_id, external_id), deleted)
    return {**deleted, "facts rewritten": facts}


async def _delete(
    tx: Transaction,
    statements: tuple[tuple[str, str], ...],
    of: tuple[bytes | str, ...],
    deleted: dict[str, int],
) -> None:
    for what, statement in statements:
        deleted[what] = deleted.get(what, 0) + await tx.run(statement, *of)

"""Authentication codes as rows: minted, spent once, shown again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import AppId, InstallId
from unbroken.store import sealed

if TYPE_CHECKING:
    from unbroken.domain.ids import ExternalId
    from unbroken.store.contract import Transaction


@dataclass(frozen=True, slots=True)
class Code:
    """An authentication code; `redeemed_by` is the install that spent it."""

    app_id: AppId
    external_id: ExternalId
    expires_at: int
    redeemed_by: InstallId | None
    actor: str


_CODE: Final = "SELECT app_id, sealed_id, expires_at, redeemed_by, actor FROM auth_codes WHERE digest = $1 FOR UPDATE"
_ADD_CODE: Final = (
    "INSERT INTO auth_codes (digest, app_id, sealed_id, expires_at, minted_for, actor) VALUES ($1, $2, $3, $4, $5, $6)"
)
_REDEEM: Final = "UPDATE auth_codes SET redeemed_by = $2 WHERE digest = $1 AND redeemed_by IS NULL"
_REUSE_CODE: Final = "UPDATE auth_codes SET is_reused = TRUE WHERE digest = $1 AND NOT is_reused"
_VOID_CODE: Final = "DELETE FROM auth_codes WHERE digest = $1 AND redeemed_by IS NULL"
_VOID_MINTED: Final = "DELETE FROM auth_codes WHERE app_id = $1 AND minted_for = $2 AND redeemed_by IS NULL"
_FORGET_CODES: Final = "DELETE FROM auth_codes WHERE expires_at < $1"


async def code(tx: Transaction, digest: bytes) -> Code | None:
    """A code, spent or not."""
    await tx.hold(digest)
    row = await tx.one(_CODE, digest)
    if row is None:
        return None
    redeemed_by = InstallId(row[3]) if row[3] is not None else None
    return Code(AppId(row[0]), sealed.unseal(tx, row[0], row[1]), row[2], redeemed_by, row[4])


async def add_code(tx: Transaction, digest: bytes, minted: Code, minted_for: str | None) -> None:
    """Write a new code; `minted_for` names the repeatable call that asked for it."""
    sealed_id = await sealed.seal(tx, minted.app_id, minted.external_id)
    await tx.run(_ADD_CODE, digest, minted.app_id, sealed_id, minted.expires_at, minted_for, minted.actor)


async def redeem(tx: Transaction, digest: bytes, install_id: InstallId) -> bool:
    """Spend a code; whether this call did."""
    return await tx.run(_REDEEM, digest, install_id) == 1


async def mark_code_reused(tx: Transaction, digest: bytes) -> bool:
    """Remember that a spent code was shown by another install; whether this is the first time."""
    return await tx.run(_REUSE_CODE, digest) == 1


async def void_code(tx: Transaction, digest: bytes) -> bool:
    """Take back a code that nobody has spent; whether there was one."""
    return await tx.run(_VOID_CODE, digest) == 1


async def void_minted(tx: Transaction, app_id: AppId, minted_for: str) -> None:
    """Take back the unspent codes of an earlier answer to the same call."""
    await tx.run(_VOID_MINTED, app_id, minted_for)


async def forget_codes(tx: Transaction, expired_before: int) -> None:
    """Drop codes that ended long ago."""
    await tx.run(_FORGET_CODES, expired_before)

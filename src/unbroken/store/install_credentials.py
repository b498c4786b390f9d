"""What an install proves itself with, as rows: the current credential, the spent ones, and what registered it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import AppId, InstallId
from unbroken.store import sealed

if TYPE_CHECKING:
    from unbroken.credentials import Digest
    from unbroken.store.contract import Transaction

_CREDENTIAL: Final = (
    "SELECT app_id, credential_digest, credential_key, install_key FROM installs WHERE install_id = $1 FOR UPDATE"
)
_SET_CREDENTIAL: Final = "UPDATE installs SET credential_digest = $2, credential_key = $3 WHERE install_id = $1"
_SPEND: Final = (
    "INSERT INTO spent_credentials (digest, install_id, spent_key) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING"
)
_SPENT: Final = "SELECT spent_key FROM spent_credentials WHERE digest = $1 AND install_id = $2"
_REUSE_SPENT: Final = (
    "UPDATE spent_credentials SET is_reused = TRUE WHERE digest = $1 AND install_id = $2 AND NOT is_reused"
)
_REGISTRATION: Final = "SELECT install_id FROM registrations WHERE app_id = $1 AND key_digest = $2"
_REGISTERED_IN: Final = "SELECT app_id FROM registrations WHERE key_digest = $1 ORDER BY app_id LIMIT 1"
_ADD_REGISTRATION: Final = "INSERT INTO registrations (app_id, key_digest, install_id) VALUES ($1, $2, $3)"
_FORGET_REGISTRATION: Final = "DELETE FROM registrations WHERE install_id = $1"


NO_CREDENTIAL: Final = b""
"""In the place of a digest: the install holds no credential, as it was imported."""


@dataclass(frozen=True, slots=True)
class Current:
    """The credential an install holds now.

    Args:
        key: the idempotency key of the exchange that gave it out.
        install_key: the public half of the key that signs each spending; None where the credential is enough.
    """

    app_id: AppId
    digest: bytes
    key: str | None
    install_key: bytes | None


async def current_credential(tx: Transaction, install_id: InstallId) -> Current | None:
    """What an install of any app holds now."""
    row = await tx.one(_CREDENTIAL, install_id)
    if row is None:
        return None
    key, install_key = sealed.unseal_if_any(tx, install_id, row[2]), None if row[3] is None else bytes(row[3])
    return Current(AppId(row[0]), bytes(row[1]), key, install_key)


async def replace_credential(
    tx: Transaction, install_id: InstallId, current: bytes, digest: bytes, key: str | None
) -> None:
    """Spend the credential that is current under `key`, and make another the current one."""
    kept = await sealed.seal_kept(tx, install_id, key)
    await tx.run(_SPEND, current, install_id, kept)
    await tx.run(_SET_CREDENTIAL, install_id, digest, kept)


async def spent_with(tx: Transaction, digest: Digest, install_id: InstallId) -> tuple[bool, str | None]:
    """Whether a credential was spent, and with which key."""
    for one in digest.every:
        row = await tx.one(_SPENT, one, install_id)
        if row is not None:
            return True, sealed.unseal_if_any(tx, install_id, row[0])
    return False, None


async def mark_credential_reused(tx: Transaction, digest: Digest, install_id: InstallId) -> bool:
    """Remember that a spent credential was shown again; whether this is the first time."""
    return any([await tx.run(_REUSE_SPENT, one, install_id) for one in digest.every])


async def registration(tx: Transaction, app_id: AppId, key_digest: Digest) -> InstallId | None:
    """The install that an idempotency key registered."""
    for one in key_digest.every:
        row = await tx.one(_REGISTRATION, app_id, one)
        if row is not None:
            return InstallId(row[0])
    return None


async def registered_in(tx: Transaction, key_digest: Digest) -> AppId | None:
    """The app in which an idempotency key, which is a random secret of one device, registered an install."""
    for one in key_digest.every:
        row = await tx.one(_REGISTERED_IN, one)
        if row is not None:
            return AppId(row[0])
    return None


async def add_registration(tx: Transaction, app_id: AppId, key_digest: bytes, install_id: InstallId) -> None:
    """Remember the key of a registration as long as the install lives."""
    await tx.run(_ADD_REGISTRATION, app_id, key_digest, install_id)


async def forget_registration(tx: Transaction, install_id: InstallId) -> None:
    """The install is gone, and its key with it."""
    await tx.run(_FORGET_REGISTRATION, install_id)

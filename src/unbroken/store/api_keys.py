"""API keys as rows: who may ask for what, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import Scope
from unbroken.domain.ids import AppId, KeyId

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret. Times in epoch milliseconds of the system's clock, in a lab too.

    Args:
        rotated_at: when it was given a `successor`; it ends when the two have overlapped for a while.
    """

    key_id: KeyId
    app_id: AppId
    name: str
    scopes: frozenset[Scope]
    created_at: int
    expires_at: int
    revoked_at: int | None = None
    last_used_at: int | None = None
    rotated_at: int | None = None
    successor: KeyId | None = None


_KEY: Final = (
    "SELECT key_id, app_id, name, scopes, created_at, expires_at, revoked_at, last_used_at, rotated_at, successor,"
    " digest FROM api_keys"
)
_KEY_BY_ID: Final = f"{_KEY} WHERE key_id = $1"
_DIGEST: Final = "SELECT digest FROM api_keys WHERE key_id = $1"
_KEYS_OF_APP: Final = f"{_KEY} WHERE app_id = $1 ORDER BY created_at, key_id"
_ADD_KEY: Final = (
    "INSERT INTO api_keys (key_id, app_id, name, scopes, digest, created_at, expires_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
_KEYS_ENDING: Final = (
    f"{_KEY} WHERE revoked_at IS NULL AND successor IS NULL AND expires_at > $1 AND expires_at <= $2"
    " ORDER BY expires_at, key_id"
)
_ROTATE_KEY: Final = "UPDATE api_keys SET rotated_at = $2, successor = $3, expires_at = $4 WHERE key_id = $1"
_REVOKE_KEY: Final = "UPDATE api_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL"
_KEEP_KEY: Final = "UPDATE api_keys SET digest = $3 WHERE key_id = $1 AND digest = $2"
_USE_KEY: Final = "UPDATE api_keys SET last_used_at = $2 WHERE key_id = $1"


async def key_by_id(tx: Transaction, key_id: KeyId) -> tuple[Key, bytes] | None:
    """A key and the digest of its text."""
    row = await tx.one(_KEY_BY_ID, key_id)
    return (_key(row), bytes(row[-1])) if row else None


async def key_digest(tx: Transaction, key_id: KeyId) -> bytes | None:
    """What the text of a key is kept as; all that is looked at of a key until it was shown."""
    row = await tx.one(_DIGEST, key_id)
    return bytes(row[0]) if row else None


async def keys_of_app(tx: Transaction, app_id: AppId) -> list[Key]:
    """Every key an app ever had, oldest first."""
    return [_key(row) for row in await tx.all(_KEYS_OF_APP, app_id)]


async def add_key(tx: Transaction, key: Key, digest: bytes) -> None:
    """Write a new key."""
    scopes = " ".join(sorted(key.scopes))
    await tx.run(_ADD_KEY, key.key_id, key.app_id, key.name, scopes, digest, key.created_at, key.expires_at)


async def keys_ending(tx: Transaction, from_ms: int, to_ms: int) -> list[Key]:
    """The keys in force of all apps that have no successor and end within some time, the first to end first."""
    return [_key(row) for row in await tx.all(_KEYS_ENDING, from_ms, to_ms)]


async def rotate_key(tx: Transaction, key_id: KeyId, at: int, successor: KeyId, expires_at: int) -> None:
    """Name the successor of a key, and when the key ends."""
    await tx.run(_ROTATE_KEY, key_id, at, successor, expires_at)


async def revoke_key(tx: Transaction, key_id: KeyId, at: int) -> bool:
    """End a key; the first revocation stands. Whether this is it."""
    return await tx.run(_REVOKE_KEY, key_id, at) == 1


async def keep_key(tx: Transaction, key_id: KeyId, before: bytes, digest: bytes) -> None:
    """Keep an API key under another pepper."""
    await tx.run(_KEEP_KEY, key_id, before, digest)


async def use_key(tx: Transaction, key_id: KeyId, at: int) -> None:
    """Remember when a key was used last."""
    await tx.run(_USE_KEY, key_id, at)


def _key(row: tuple[Any, ...]) -> Key:
    return Key(
        key_id=KeyId(row[0]),
        app_id=AppId(row[1]),
        name=row[2],
        scopes=frozenset(Scope(scope) for scope in row[3].split()),
        created_at=row[4],
        expires_at=row[5],
        revoked_at=row[6],
        last_used_at=row[7],
        rotated_at=row[8],
        successor=KeyId(row[9]) if row[9] is not None else None,
    )

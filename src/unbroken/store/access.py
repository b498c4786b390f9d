"""Apps, keys, codes and repeated calls as rows: who may ask for what, and what was answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import App, Policy, Scope, policy_of, written
from unbroken.domain.ids import AppId, InstallId, KeyId, UserId
from unbroken.store import sealed

if TYPE_CHECKING:
    from unbroken.credentials import Digest
    from unbroken.domain.ids import ExternalId
    from unbroken.store.contract import Transaction

# Apps

_APP: Final = "SELECT app_id, name, is_disabled, policy FROM apps"
_APP_BY_ID: Final = f"{_APP} WHERE app_id = $1"
_APP_IN_FORCE: Final = (
    "SELECT a.app_id, a.name, a.is_disabled, a.policy, (SELECT f.at FROM facts f WHERE f.app_id = $1"
    " AND f.kind = 'policy changed' ORDER BY f.position DESC LIMIT 1),"
    f" (SELECT k.revoked_at FROM api_keys k WHERE k.key_id = $2), {sealed.COLUMNS}"
    " FROM apps a, sealing s WHERE a.app_id = $1"
)
_APPS: Final = f"{_APP} ORDER BY created_at, app_id"
_APP_SECRET: Final = "SELECT secret_digest FROM apps WHERE app_id = $1"  # noqa: S105 - a statement
_ADD_APP: Final = (
    "INSERT INTO apps (app_id, name, is_disabled, secret_digest, policy, created_at) VALUES ($1, $2, FALSE, $3, $4, $5)"
)
_KEEP_ANEW: Final = "UPDATE apps SET secret_digest = $3 WHERE app_id = $1 AND secret_digest = $2"
_SET_POLICY: Final = "UPDATE apps SET policy = $2 WHERE app_id = $1"
_SET_APP_DISABLED: Final = "UPDATE apps SET is_disabled = $2 WHERE app_id = $1"


async def app_by_id(tx: Transaction, app_id: AppId) -> App | None:
    """One app."""
    row = await tx.one(_APP_BY_ID, app_id)
    return _app(row) if row else None


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds of an app and one of its keys in a transaction.

    Args:
        policy_since: when the policy was decided; 0 where it is the one that the app came with.
        is_revoked: the key was revoked.
    """

    app: App
    policy_since: int
    is_revoked: bool


async def in_force(tx: Transaction, app_id: AppId, key_id: bytes) -> InForce | None:
    """One app, and one of its keys; any other 12 bytes are none that was revoked."""
    row = await tx.one(_APP_IN_FORCE, app_id, key_id)
    if row is None:
        return None
    sealed.know(tx, sealed.state_of(row[6:]))  # a link names an external id, and asks no statement more for it
    return InForce(_app(row[:4]), row[4] or 0, row[5] is not None)


async def apps(tx: Transaction) -> list[App]:
    """Every app, oldest first."""
    return [_app(row) for row in await tx.all(_APPS)]


async def app_secret_digest(tx: Transaction, app_id: AppId) -> bytes | None:
    """The keyed digest of an app's secret."""
    row = await tx.one(_APP_SECRET, app_id)
    return bytes(row[0]) if row else None


async def add_app(tx: Transaction, app: App, secret_digest: bytes, created_at: int) -> None:
    """Write a new app."""
    await tx.run(_ADD_APP, app.app_id, app.name, secret_digest, _policy_text(app.policy), created_at)


async def keep_app_secret(tx: Transaction, app_id: AppId, before: bytes, digest: bytes) -> None:
    """Keep an app's secret under another pepper."""
    await tx.run(_KEEP_ANEW, app_id, before, digest)


async def set_policy(tx: Transaction, app_id: AppId, policy: Policy) -> None:
    """Replace an app's policy."""
    await tx.run(_SET_POLICY, app_id, _policy_text(policy))


async def set_app_disabled(tx: Transaction, app_id: AppId, *, is_disabled: bool) -> None:
    """Stop an app, or let it go on."""
    await tx.run(_SET_APP_DISABLED, app_id, is_disabled)


def _policy_text(policy: Policy) -> str:
    return json.dumps(written(policy))


def _app(row: tuple[Any, ...]) -> App:
    return App(AppId(row[0]), row[1], bool(row[2]), _policy(row[3]))


@lru_cache(maxsize=1024)  # each call reads its app twice, and a policy seldom changes
def _policy(text: str) -> Policy:
    return policy_of(json.loads(text))


# API keys


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


# Authentication codes


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


# Install credentials and registrations

_CREDENTIAL: Final = "SELECT app_id, credential_digest, credential_key FROM installs WHERE install_id = $1 FOR UPDATE"
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
    """The credential an install holds now, and the idempotency key of the exchange that gave it out."""

    app_id: AppId
    digest: bytes
    key: str | None


async def current_credential(tx: Transaction, install_id: InstallId) -> Current | None:
    """What an install of any app holds now."""
    row = await tx.one(_CREDENTIAL, install_id)
    return Current(AppId(row[0]), bytes(row[1]), sealed.unseal_if_any(tx, install_id, row[2])) if row else None


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


# Repeated calls

_KEPT: Final = "SELECT body_hash, status, reply FROM idempotency WHERE caller = $1 AND idempotency_key = $2 AND at > $3"
_KEEP: Final = (
    "INSERT INTO idempotency (caller, idempotency_key, body_hash, status, reply, at, user_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (caller, idempotency_key) DO UPDATE SET"
    " body_hash = excluded.body_hash, status = excluded.status, reply = excluded.reply, at = excluded.at,"
    " user_id = excluded.user_id"
)
_FORGET_KEPT: Final = "DELETE FROM idempotency WHERE at <= $1"


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that a call got the first time."""

    body_hash: bytes
    status: int
    reply: bytes


async def kept_answer(tx: Transaction, caller: bytes, key: str, since_ms: int) -> Kept | None:
    """The answer kept under a caller's key, unless it is older than `since_ms`."""
    row = await tx.one(_KEPT, caller, key, since_ms)
    return Kept(bytes(row[0]), row[1], sealed.unseal_body(tx, caller, row[2])) if row else None


async def keep_answer(tx: Transaction, caller: bytes, key: str, kept: Kept, at: int, user_id: UserId | None) -> None:
    """Keep an answer; `user_id` is the person it speaks of."""
    reply = await sealed.seal_body(tx, caller, kept.reply)
    await tx.run(_KEEP, caller, key, kept.body_hash, kept.status, reply, at, user_id)


async def forget_answers(tx: Transaction, before_ms: int) -> None:
    """Drop the answers that nobody can ask for any more."""
    await tx.run(_FORGET_KEPT, before_ms)

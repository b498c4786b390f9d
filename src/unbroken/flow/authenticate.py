"""Who is calling: a credential becomes a caller, or the call ends here.

What an API key or an app secret stood for is remembered for a minute, in which whatever changes of apps and keys is
known as soon as it is durable, in every process (standings.py). So a call costs one look at the changes, which all
calls in hand share.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken import credentials
from unbroken.credentials import NAMES, Kind, is_one_of
from unbroken.domain.errors import AppDisabled, ForbiddenCredential, Unauthenticated
from unbroken.domain.ids import ID_BYTES, AppId, InstallId, KeyId, parse_id
from unbroken.store import api_keys, apps
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.credentials import Digest
    from unbroken.domain.app import App, Scope
    from unbroken.domain.standing import Standing
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_USE_NOTED_EVERY_MS: Final = 60_000
_USE_NOTED_WITHIN_S: Final = 1.0
"""A call does not wait longer for it, where the database takes no changes for a while."""

_ADMITTED_MAX: Final = 10_000
_NOBODYS: Final = bytes(32)
_REVOKED: Final = "This API key was revoked."

NO_KEY: Final = KeyId(bytes(ID_BYTES))
"""The operator at the command line acts as an app's server that needs no key."""


@dataclass(frozen=True, slots=True)
class AppCaller:
    """An app that showed its secret: it may register an install."""

    app: App


@dataclass(frozen=True, slots=True)
class KeyCaller:
    """The customer's server, with an API key.

    Args:
        rotated_at: when the key was given a successor, if it was; then it ends at `ends_at` (system's clock).
    """

    app: App
    key_id: KeyId
    scopes: frozenset[Scope]
    name: str
    rotated_at: int | None = None
    ends_at: int = 0

    @property
    def actor(self) -> str:
        """How the ledger calls it."""
        return "operator" if self.key_id == NO_KEY else f"key:{self.key_id.hex()}"


@dataclass(frozen=True, slots=True)
class InstallCaller:
    """An install, by its user token; `standing` is what the token says, which may be three days old."""

    app_id: AppId
    install_id: InstallId
    standing: Standing


@dataclass(frozen=True, slots=True)
class CredentialCaller:
    """Whoever shows a well-formed install credential; whether it is the current one, the step finds out.

    Args:
        proof: the signature by the install's key, as it was sent; empty where there was none.
    """

    token: str
    proof: str = ""


class Admitted(NamedTuple):
    """Whom a credential stood for when it was looked up, and between which instants that holds (system's clock)."""

    caller: AppCaller | KeyCaller
    from_ms: int
    until_ms: int


async def app_by_secret(context: Context, app_id: str, secret: str) -> AppCaller:
    """The app that an id and a secret stand for.

    Raises:
        Unauthenticated, AppDisabled.
    """
    known_id = parse_id(app_id)
    opaque = credentials.read_opaque(secret)
    if known_id is None or opaque is None or opaque.kind is not Kind.APP_SECRET:
        raise Unauthenticated("The app id or the app secret is wrong.")
    digest, now_ms = context.vault.digest(secret), context.wall.now_ms()
    admitted = await _admitted(context)
    caller = _known(admitted, digest, now_ms)
    if isinstance(caller, AppCaller) and caller.app.app_id == known_id:
        return caller

    async def load(tx: Transaction) -> tuple[App | None, bytes | None]:
        kept = await apps.app_secret_digest(tx, AppId(known_id))
        return await apps.app_by_id(tx, AppId(known_id)) if _is_right(kept, digest) else None, kept

    app, kept = await context.store.read(load)
    if app is None or kept is None:
        raise Unauthenticated("The app id or the app secret is wrong.")
    if kept != digest:
        await _keep_anew(context, lambda tx: apps.keep_app_secret(tx, app.app_id, kept, digest))
    caller = AppCaller(_running(app))
    admitted[digest] = Admitted(caller, now_ms, now_ms + _USE_NOTED_EVERY_MS)
    return caller


async def by_bearer(context: Context, token: str) -> KeyCaller | InstallCaller | CredentialCaller:
    """Whoever a bearer token stands for.

    Raises:
        Unauthenticated: unknown, expired, revoked, or mistyped.
        AppDisabled: it is of a disabled app.
        ForbiddenCredential: a credential that is no bearer token.
    """
    kind = credentials.kind_of(token)
    match kind:
        case Kind.USER_TOKEN:
            return await by_user_token(context, token)
        case Kind.API_KEY:
            return await _key(context, token)
        case Kind.INSTALL:
            if credentials.read_opaque(token) is None:
                raise Unauthenticated("This install credential is mistyped.")
            return CredentialCaller(token)
        case None:
            raise Unauthenticated
        case _:
            raise ForbiddenCredential(f"{NAMES[kind].capitalize()} is not a bearer token.")


async def by_user_token(context: Context, token: str) -> InstallCaller:
    """The install that a user token stands for. No look-up: the token says it, and what changed since is in memory.

    Raises:
        Unauthenticated: not one of ours, or expired.
        AppDisabled: it is of a disabled app.
    """
    signed = context.vault.open(Kind.USER_TOKEN, token)
    if signed is None:
        raise Unauthenticated("This user token is not one of this platform.")
    if signed.expires_at <= context.clock.now_ms():
        raise Unauthenticated("This user token has expired.").of(signed.app_id)
    await context.standings.refresh(context)
    if context.standings.is_stopped(signed.app_id):
        raise AppDisabled().of(signed.app_id)
    return InstallCaller(signed.app_id, signed.install_id, signed.standing)


async def _key(context: Context, token: str) -> KeyCaller:
    opaque = credentials.read_opaque(token)
    if opaque is None:
        raise Unauthenticated("This API key is mistyped.")
    digest, now_ms = context.vault.digest(token), context.wall.now_ms()
    admitted = await _admitted(context)
    caller = _known(admitted, digest, now_ms)
    if isinstance(caller, KeyCaller):
        return caller

    async def load(tx: Transaction) -> tuple[api_keys.Key, bytes, App] | None:
        key_id = KeyId(opaque.subject)
        is_right = _is_right(await api_keys.key_digest(tx, key_id), digest)
        found = await api_keys.key_by_id(tx, key_id) if is_right else None
        app = await apps.app_by_id(tx, found[0].app_id) if found else None
        return (*found, app) if found and app else None

    found = await context.store.read(load)
    if found is None:
        raise Unauthenticated("This API key is not known.")
    key, kept, app = found
    _refuse_ended(key, now_ms)
    if kept != digest:
        await _keep_anew(context, lambda tx: api_keys.keep_key(tx, key.key_id, kept, digest))
    used_at = await _note_use(context, key, now_ms)
    caller = KeyCaller(_running(app), key.key_id, key.scopes, key.name, key.rotated_at, key.expires_at)
    admitted[digest] = Admitted(caller, now_ms, min(used_at + _USE_NOTED_EVERY_MS, key.expires_at))
    return caller


def _is_right(kept: bytes | None, digest: Digest) -> bool:
    """Whether a secret is the one that is kept; of nobody's it is found out in the same time, by the same work."""
    return is_one_of(_NOBODYS if kept is None else kept, digest) and kept is not None


async def still_admitted(tx: Transaction, caller: KeyCaller) -> apps.InForce:
    """The app of a key, in the transaction of a change: nothing is changed by a key after its revocation was durable.

    A call may have been let in long before, as its body came late, or the database took its time.

    Raises:
        Unauthenticated, AppDisabled.
    """
    found = await apps.in_force(tx, caller.app.app_id, caller.key_id)
    assert found is not None, "apps are not deleted"
    if found.is_revoked:
        raise Unauthenticated(_REVOKED)
    if caller.key_id != NO_KEY:
        _running(found.app)
    return found


async def _admitted(context: Context) -> dict[bytes, Admitted]:
    """Who was admitted, by the digest of the credential, and is to be still: nothing of apps and keys changed since.

    Whoever is not among them is looked up and put into this same dict, which is out of use by then if anything did.
    """
    await context.standings.refresh(context)
    admitted = context.standings.admitted
    if len(admitted) >= _ADMITTED_MAX:
        admitted.clear()
    return admitted


def _known(admitted: dict[bytes, Admitted], digest: bytes, now_ms: int) -> AppCaller | KeyCaller | None:
    found = admitted.get(digest)
    return found.caller if found is not None and found.from_ms <= now_ms < found.until_ms else None


def _refuse_ended(key: api_keys.Key, now_ms: int) -> None:
    if key.revoked_at is not None:
        raise Unauthenticated(_REVOKED).of(key.app_id)
    if key.expires_at <= now_ms:
        raise Unauthenticated("This API key has expired.").of(key.app_id)


async def _keep_anew(context: Context, keep: Callable[[Transaction], Awaitable[None]]) -> None:
    """Under the pepper in use, as the secret is in hand now; not where nothing can be written, as in `_note_use`."""
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(_USE_NOTED_WITHIN_S):
            await context.store.write(keep)


async def _note_use(context: Context, key: api_keys.Key, now_ms: int) -> int:
    """At most once a minute, so that a busy key costs nothing; not where nothing can be written: a read goes on.

    Returns:
        When the key's use was noted last; now where it is not.
    """
    if key.last_used_at is not None and now_ms < key.last_used_at + _USE_NOTED_EVERY_MS:
        return min(key.last_used_at, now_ms)
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(_USE_NOTED_WITHIN_S):
            await context.store.write(lambda tx: api_keys.use_key(tx, key.key_id, now_ms))
    return now_ms


def _running(app: App) -> App:
    if app.is_disabled:
        raise AppDisabled().of(app.app_id)
    return app

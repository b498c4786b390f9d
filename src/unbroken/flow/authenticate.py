"""Who is calling: a credential becomes a caller, or the call ends here."""

from __future__ import annotations

import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken import credentials
from unbroken.credentials import NAMES, Kind
from unbroken.domain.errors import AppDisabled, ForbiddenCredential, Unauthenticated
from unbroken.domain.ids import ID_BYTES, AppId, InstallId, KeyId, parse_id
from unbroken.store import access
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from unbroken.domain.app import App, Scope
    from unbroken.domain.standing import Standing
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_USE_NOTED_EVERY_MS: Final = 60_000


NO_KEY: Final = KeyId(bytes(ID_BYTES))
"""The operator at the command line acts as an app's server that needs no key."""


@dataclass(frozen=True, slots=True)
class AppCaller:
    """An app that showed its secret: it may register an install."""

    app: App


@dataclass(frozen=True, slots=True)
class KeyCaller:
    """The customer's server, with an API key."""

    app: App
    key_id: KeyId
    scopes: frozenset[Scope]
    name: str

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
    """Whoever shows a well-formed install credential; whether it is the current one, the step finds out."""

    token: str


async def app_by_secret(context: Context, app_id: str, secret: str) -> AppCaller:
    """The app that an id and a secret stand for.

    Raises:
        Unauthenticated, AppDisabled.
    """
    known_id = parse_id(app_id)
    opaque = credentials.read_opaque(secret)
    if known_id is None or opaque is None or opaque.kind is not Kind.APP_SECRET:
        raise Unauthenticated("The app id or the app secret is wrong.")

    async def load(tx: Transaction) -> tuple[App | None, bytes | None]:
        app_id = AppId(known_id)
        return await access.app_by_id(tx, app_id), await access.app_secret_digest(tx, app_id)

    app, digest = await context.store.read(load)
    if app is None or digest is None or not hmac.compare_digest(digest, context.vault.digest(secret)):
        raise Unauthenticated("The app id or the app secret is wrong.")
    return AppCaller(_running(app))


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
        raise Unauthenticated("This user token has expired.")
    await context.standings.refresh(context)
    if context.standings.is_stopped(signed.app_id):
        raise AppDisabled
    return InstallCaller(signed.app_id, signed.install_id, signed.standing)


async def _key(context: Context, token: str) -> KeyCaller:
    opaque = credentials.read_opaque(token)
    if opaque is None:
        raise Unauthenticated("This API key is mistyped.")

    async def load(tx: Transaction) -> tuple[access.Key, bytes, App] | None:
        found = await access.key_by_id(tx, KeyId(opaque.subject))
        app = await access.app_by_id(tx, found[0].app_id) if found else None
        return (*found, app) if found and app else None

    found = await context.store.read(load)
    if found is None or not hmac.compare_digest(found[1], context.vault.digest(token)):
        raise Unauthenticated("This API key is not known.")
    key, _, app = found
    _refuse_ended(key, context.wall.now_ms())
    await _note_use(context, key)
    return KeyCaller(_running(app), key.key_id, key.scopes, key.name)


def _refuse_ended(key: access.Key, now_ms: int) -> None:
    if key.revoked_at is not None:
        raise Unauthenticated("This API key was revoked.")
    if key.expires_at <= now_ms:
        raise Unauthenticated("This API key has expired.")


async def _note_use(context: Context, key: access.Key) -> None:
    """At most once a minute, so that a busy key costs nothing; not where nothing can be written: a read goes on."""
    now_ms = context.wall.now_ms()
    if key.last_used_at is not None and now_ms < key.last_used_at + _USE_NOTED_EVERY_MS:
        return
    with suppress(StoreUnavailable):
        await context.store.write(lambda tx: access.use_key(tx, key.key_id, now_ms))


def _running(app: App) -> App:
    if app.is_disabled:
        raise AppDisabled
    return app

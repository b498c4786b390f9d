"""Who calls, and whether this call is theirs to make: the HTTP side. What a credential is worth, the flow says."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from unbroken import credentials
from unbroken.credentials import Kind
from unbroken.domain.errors import ForbiddenCredential, ForbiddenScope, Refusal, Unauthenticated
from unbroken.flow.authenticate import (
    AppCaller,
    CredentialCaller,
    InstallCaller,
    KeyCaller,
    app_by_secret,
    by_bearer,
)
from unbroken.server.route import Credential

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.server.route import Caller, Route

_CALLER: Final[dict[Credential, tuple[type, ...]]] = {
    Credential.APP_SECRET_OR_CODE: (AppCaller,),
    Credential.INSTALL_CREDENTIAL: (CredentialCaller,),
    Credential.USER_TOKEN: (InstallCaller,),
    Credential.API_KEY: (KeyCaller,),
    Credential.KEY_OR_OWN_TOKEN: (KeyCaller, InstallCaller),
}
"""Which callers a kind of credential admits."""

_KIND: Final[dict[type, Kind]] = {
    AppCaller: Kind.APP_SECRET,
    CredentialCaller: Kind.INSTALL,
    InstallCaller: Kind.USER_TOKEN,
    KeyCaller: Kind.API_KEY,
}
_CHALLENGE_BASIC: Final = b'Basic realm="unbroken", charset="UTF-8"'
_CHALLENGE_BEARER: Final = b'Bearer realm="unbroken"'
_MAX_BYTES: Final = 1_024


async def authenticate(context: Context, route: Route, authorization: bytes | None) -> Caller:
    """The caller, admitted to `route`.

    Returns:
        None where the row needs no credential, or where a code in the body may stand for it.

    Raises:
        Unauthenticated: no credential, a malformed or an unknown one.
        ForbiddenCredential: a wrong kind, by name.
        ForbiddenScope: an API key without the row's scope.
        AppDisabled: its app is.
    """
    if route.credential is Credential.NONE:
        return None
    if authorization is None:
        if route.credential is Credential.APP_SECRET_OR_CODE:
            return None
        raise Unauthenticated(hint=_hint(route))
    caller = await _caller(context, route, authorization)
    if not isinstance(caller, _CALLER[route.credential]):
        raise wrong_kind(_KIND[type(caller)], route)
    if isinstance(caller, KeyCaller) and route.scope not in caller.scopes:
        refusal = ForbiddenScope(f"This API key lacks the scope {route.scope}.", hint=f"Use a key with {route.scope}.")
        raise refusal.of(caller.app.app_id)
    return caller


async def _caller(context: Context, route: Route, authorization: bytes) -> Caller:
    scheme, value = read_authorization(authorization)
    if scheme == "bearer":
        try:
            return await by_bearer(context, value)
        except ForbiddenCredential as refusal:
            kind = credentials.kind_of(value)
            raise refusal if kind is None else wrong_kind(kind, route) from refusal
    app_id, secret = read_basic(value)
    return await app_by_secret(context, app_id, secret)


def wrong_kind(kind: Kind, route: Route) -> Refusal:
    """The refusal of a credential that is valid, but not for this call."""
    name = credentials.NAMES[kind]
    return ForbiddenCredential(f"{name[0].upper()}{name[1:]} cannot {route.does}.", hint=_hint(route))


def _hint(route: Route) -> str:
    return f"This call takes: {route.credential.value}."


def read_authorization(header: bytes) -> tuple[str, str]:
    """Scheme ("basic" or "bearer") and what follows it.

    Raises:
        Unauthenticated: anything else.
    """
    scheme, _, value = header.partition(b" ")
    name = scheme.lower()
    if name not in {b"basic", b"bearer"} or len(header) > _MAX_BYTES or not header.isascii():
        raise Unauthenticated("The Authorization header is neither Basic nor Bearer.")
    text = value.strip(b" ").decode("ascii")
    if not text or not text.isprintable() or " " in text:
        raise Unauthenticated("The Authorization header is malformed.")
    return name.decode("ascii"), text


def read_basic(value: str) -> tuple[str, str]:
    """Name and password of HTTP Basic.

    Raises:
        Unauthenticated: malformed.
    """
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("The Authorization header is malformed.") from error
    if not colon:
        raise Unauthenticated("The Authorization header is malformed.")
    return name, password


def challenge(route: Route | None) -> bytes:
    """What `WWW-Authenticate` says after 401."""
    if route is not None and route.credential is Credential.APP_SECRET_OR_CODE:
        return _CHALLENGE_BASIC
    return _CHALLENGE_BEARER

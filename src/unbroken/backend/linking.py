"""What an app may ask a customer's server, whatever its framework: routes, the body of an install, and the answers.

An error is answered in the platform's own shape (http-api.md, conventions). One of the platform's keeps its status,
code and `ref`, so that the app's log leads to the platform's; only where the platform refused this server's own key
the status is 502: a 401 would tell the app that its user is not signed in.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from unbroken import wire
from unbroken.backend.errors import (
    BackendError,
    ForbiddenCredential,
    ForbiddenScope,
    PlatformError,
    Unauthenticated,
)
from unbroken.backend.strict_json import read_strict_json
from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.backend.results import AuthCode, Link

BODY_MAX_BYTES: Final = 64 << 10
"""Far above an install id and a ticket; a chain of certificates in base64 has about 16 KiB."""

METHODS: Final = {"/install": "POST", "/auth-code": "GET", "/challenge": "GET"}
"""Every path below the mount, and its method."""

_INSTALL_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")

_OF_ACCOUNTS: Final = frozenset(
    {
        *("account", "accountid", "customer", "customerid", "email", "externalid", "login", "person", "personid"),
        *("session", "sessionid", "sub", "subject", "user", "userid", "username", "xuser"),
    }
)
"""What an account may be called in a body, in lower case and without anything between the letters."""

_STATUS: Final = {
    refusals.InvalidRequest: 400,
    refusals.Unauthenticated: 401,
    refusals.NotFound: 404,
    refusals.InstallNotFound: 404,
    refusals.AttestationRefused: 403,
    refusals.MethodNotAllowed: 405,
    refusals.TooLarge: 413,
    refusals.UnsupportedMediaType: 415,
    refusals.RateLimited: 429,
}
"""Of the refusals that are made here."""

_OWN_KEY_REFUSED: Final = (Unauthenticated, ForbiddenScope, ForbiddenCredential)
_RETRY_AFTER_S: Final = 5


class LinkAsked(Struct, frozen=True):
    """The body of POST /install. Whose install it is cannot be said here; other members are ignored.

    `attestation` is what the device proves (`attestation.read_evidence`), and in its member `challenge` which challenge
    that answers.
    """

    install_id: Annotated[str, Meta(max_length=64)]
    link_ticket: Annotated[str, Meta(pattern=r"\A[!-~]{1,8192}\Z")] | None = None
    attestation: Any = None


@dataclass(frozen=True, slots=True)
class AppAnswer:
    """What goes back to the app."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def require_route(method: str, path: str) -> None:
    """Refuse what is no call of this endpoint.

    Raises:
        NotFound, MethodNotAllowed.
    """
    allowed = METHODS.get(path)
    if allowed is None:
        raise refusals.NotFound
    if method != allowed:
        raise refusals.MethodNotAllowed(hint=f"{path} takes {allowed}")


def require_json(headers: Mapping[str, str]) -> None:
    """Refuse a body that does not say it is JSON.

    Stricter than the platform on purpose: a web page of another origin can send a body under the types of a form, with
    the person's cookie, but not under this one without being asked for.

    Raises:
        UnsupportedMediaType.
    """
    media_type, *parameters = headers.get("content-type", "").split(";")
    charsets = {p.strip().lower().replace('"', "") for p in parameters} - {"charset=utf-8", ""}
    if media_type.strip().lower() != "application/json" or charsets:
        raise refusals.UnsupportedMediaType(hint="send Content-Type: application/json")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise refusals.UnsupportedMediaType(hint="send the body without Content-Encoding")


def read_install(body: bytes) -> LinkAsked:
    """The body of POST /install.

    Raises:
        InvalidRequest: it is not JSON, names a member twice, is not of the form, or names an account.
    """
    try:
        members = read_strict_json(body)
        asked = wire.convert(members, LinkAsked)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise refusals.InvalidRequest(f"The body is not valid: {error}") from error
    _refuse_accounts(members)
    return asked


def require_install_id(text: str) -> None:
    """Refuse what cannot be an install id, before anything is made of it.

    Raises:
        InstallNotFound: as the platform would say.
    """
    if not _INSTALL_ID.fullmatch(text):
        raise refusals.InstallNotFound


def _refuse_accounts(members: Mapping[str, Any]) -> None:
    """An account in the body would be ignored; whoever sends one believes that it counts, and should hear of it."""
    for name in members:
        if re.sub(r"[^a-z]", "", name.lower()) in _OF_ACCOUNTS:
            message = "Whose install it is says the session alone; an account in the body is refused."
            raise refusals.InvalidRequest(message, details=((name, message),))


def read_install_id(query: Mapping[str, Sequence[str]]) -> str:
    """The install that GET /challenge names.

    Raises:
        InvalidRequest: there is none, there are several, or it cannot be one.
    """
    named = query.get("install_id", ())
    if len(named) != 1 or not _INSTALL_ID.fullmatch(named[0]):
        message = "The query names one install: ?install_id=..."
        raise refusals.InvalidRequest(message, details=(("install_id", message),))
    return named[0]


def challenge_in(attestation: Any) -> bytes:
    """The challenge that a device says it answers; nothing where it says none, or what cannot be one."""
    said = attestation.get("challenge") if isinstance(attestation, dict) else None
    try:
        return base64.b64decode(said, validate=True) if isinstance(said, str) else b""
    except (binascii.Error, ValueError):
        return b""


def challenge(made: bytes, life_s: int) -> AppAnswer:
    """The answer to GET /challenge."""
    return AppAnswer(200, {"challenge": base64.b64encode(made).decode(), "expires_in_s": life_s})


def linked(link: Link) -> AppAnswer:
    """The answer to POST /install."""
    return AppAnswer(200, {"user_id": link.user_id, "state": link.state})


def auth_code(code: AuthCode, platform_url: str) -> AppAnswer:
    """The answer to GET /auth-code."""
    return AppAnswer(200, {"auth_code": code.code, "platform_url": platform_url})


def refused(refusal: refusals.Refusal, ref: str, path: str) -> AppAnswer:
    """The answer to a call that was refused here; `ref` is this server's own."""
    more: dict[str, Any] = {} if refusal.hint is None else {"hint": refusal.hint}
    if refusal.details:
        more["errors"] = [{"path": where, "message": message} for where, message in refusal.details]
    headers = {"Allow": METHODS[path]} if isinstance(refusal, refusals.MethodNotAllowed) else {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    body = {"message": refusal.message, "errorCode": refusal.code, "ref": ref, **more}
    return AppAnswer(_STATUS[type(refusal)], body, headers)


def failed(error: BackendError, ref: str) -> AppAnswer:
    """The answer to a call that the platform refused, or did not answer."""
    if not isinstance(error, PlatformError):
        body = {"message": "The platform cannot be reached.", "errorCode": refusals.Unavailable.code, "ref": ref}
        return AppAnswer(503, body, {"Retry-After": str(_RETRY_AFTER_S)})
    body = {"message": error.message, "errorCode": error.code, "ref": error.ref or ref}
    if isinstance(error, _OWN_KEY_REFUSED):
        return AppAnswer(502, body)
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return AppAnswer(error.status, body | ({} if error.hint is None else {"hint": error.hint}), headers)


def encode(answer: AppAnswer) -> tuple[Mapping[str, str], bytes]:
    """Headers and body. An answer is about one person, so nothing on the way may keep it."""
    body = wire.encode(answer.body)
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
    }
    return headers, body

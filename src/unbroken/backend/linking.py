"""What an app may ask a customer's server, whatever its framework: routes, the body of an install, and the answers.

An error is answered in the platform's own shape (http-api.md, conventions). One of the platform's keeps its status,
code and `ref`, so that the app's log leads to the platform's; only where the platform refused this server's own key
the status is 502: a 401 would tell the app that its user is not signed in.
"""

from __future__ import annotations

import json
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
from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.backend.results import AuthCode, Link

BODY_MAX_BYTES: Final = 16 << 10
"""Far above an install id and a ticket."""

METHODS: Final = {"/install": "POST", "/auth-code": "GET"}
"""Every path below the mount, and its method."""

_STATUS: Final = {
    refusals.InvalidRequest: 400,
    refusals.Unauthenticated: 401,
    refusals.NotFound: 404,
    refusals.MethodNotAllowed: 405,
    refusals.TooLarge: 413,
    refusals.UnsupportedMediaType: 415,
}
"""Of the refusals that are made here."""

_OWN_KEY_REFUSED: Final = (Unauthenticated, ForbiddenScope, ForbiddenCredential)
_RETRY_AFTER_S: Final = 5


class LinkAsked(Struct, frozen=True):
    """The body of POST /install. Whose install it is cannot be said here: other members are ignored."""

    install_id: Annotated[str, Meta(max_length=64)]
    link_ticket: Annotated[str, Meta(pattern=r"\A[!-~]{1,8192}\Z")] | None = None


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
        InvalidRequest: it is not JSON, names a member twice, or is not of the form.
    """
    try:
        return wire.convert(_strict_json(body), LinkAsked)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise refusals.InvalidRequest(f"The body is not valid: {error}") from error


def linked(link: Link) -> AppAnswer:
    """The answer to POST /install."""
    return AppAnswer(200, {"user_id": link.user_id, "state": link.state})


def auth_code(code: AuthCode, platform_url: str) -> AppAnswer:
    """The answer to GET /auth-code."""
    return AppAnswer(200, {"auth_code": code.code, "platform_url": platform_url})


def refused(refusal: refusals.Refusal, ref: str, path: str) -> AppAnswer:
    """The answer to a call that was refused here; `ref` is this server's own."""
    hint = {} if refusal.hint is None else {"hint": refusal.hint}
    headers = {"Allow": METHODS[path]} if isinstance(refusal, refusals.MethodNotAllowed) else {}
    body = {"message": refusal.message, "errorCode": refusal.code, "ref": ref, **hint}
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


def _strict_json(body: bytes) -> Any:
    """JSON in UTF-8 in which no member is named twice, at any depth."""
    text = body.decode("utf-8")
    return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)


def _once_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(members)
    if len(named) != len(members):
        raise ValueError("a member is named twice")
    return named


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def encode(answer: AppAnswer) -> bytes:
    """The bytes of an answer's body."""
    return wire.encode(answer.body)

"""One exchange with the platform as values: what is sent, what came back, and what a bad reply means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from unbroken import wire
from unbroken.domain import errors as refusals
from unbroken.sdk.errors import Fault, FaultKind

if TYPE_CHECKING:
    from unbroken.sdk.secret import Secret

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AppSecret:
    """HTTP Basic with the app's id and secret; asked for when it is sent; the session never sees it."""

    app_id: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """An install credential or a user token."""

    credential: Secret


Authorization = AppSecret | Bearer | None
"""None: an authentication code in the body speaks for itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, relative to the platform's base URL. The body is not shown: it may hold a code."""

    method: str
    path: str
    authorization: Authorization
    body: bytes = field(default=b"", repr=False)
    is_gzip: bool = False
    idempotency_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the platform answered. The body is not shown: it may hold credentials."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after_s: int | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing came back, or not in time; the request may or may not have had its effect."""

    details: str


def read(reply: Reply, type_: type[T]) -> T:
    """The reply as a type of `wire`.

    Raises:
        Fault: NOT_UNDERSTOOD.
    """
    try:
        return wire.decode(reply.body, type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        details = f"the platform's reply {reply.status} is not of the contract: {error}"
        raise Fault(FaultKind.NOT_UNDERSTOOD, details, ref=reply.ref, status=reply.status) from error


def fault_of(reply: Reply) -> Fault:
    """What a reply of status 400 or above means to a flow."""
    problem = _problem(reply)
    return Fault(
        _kind(reply.status, problem.error_code),
        f"{problem.error_code}: {problem.message}",
        ref=problem.ref or reply.ref,
        retry_after_s=reply.retry_after_s,
        status=reply.status,
    )


def _problem(reply: Reply) -> wire.Problem:
    """The body of an error; a proxy in between may answer with something else."""
    try:
        return wire.decode(reply.body, wire.Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return wire.Problem(message=f"HTTP status {reply.status}", error_code="UNKNOWN", ref=reply.ref or "")


def _kind(status: int, code: str) -> FaultKind:
    leaf = refusals.by_code(code, status)
    if leaf in {refusals.AppDisabled, refusals.InstallDisabled, refusals.UserDisabled}:
        return FaultKind.DISABLED
    if leaf is refusals.InstallGone or leaf is refusals.InstallCloned:
        return FaultKind.DELETED if leaf is refusals.InstallGone else FaultKind.CLONED
    if status == 429 or status >= 500:
        return FaultKind.BUSY
    return FaultKind.UNAUTHENTICATED if status == 401 else _refused(leaf)


def _refused(leaf: type[refusals.Refusal] | None) -> FaultKind:
    by_table = leaf is not None and issubclass(leaf, refusals.LinkRefused)
    return FaultKind.LINK_REFUSED if by_table else FaultKind.REFUSED

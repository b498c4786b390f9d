"""One exchange with the platform as values: what is sent, what came back, and what a bad reply means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from unbroken import wire
from unbroken.domain import errors as refusals
from unbroken.outgoing import NoReply
from unbroken.sdk.faults import Fault, FaultKind

if TYPE_CHECKING:
    from unbroken.outgoing import Reply
    from unbroken.sdk.install_key import InstallKey
    from unbroken.sdk.secret import Secret

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AppSecret:
    """HTTP Basic with the app's id and secret; asked for when it is sent; the session never sees it."""

    app_id: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """An install credential or a user token.

    Args:
        key: signs that an install credential is spent.
    """

    credential: Secret
    key: InstallKey | None = None


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
class WrongPeer(NoReply):
    """Nothing was sent: whoever answered at the platform's address has none of the pinned keys."""


def read(reply: Reply, type_: type[T]) -> T:
    """The reply as a type of `wire`.

    Raises:
        Fault: NOT_UNDERSTOOD.
    """
    try:
        return wire.decode(reply.body, type_)
    except wire.UNREADABLE as error:
        details = f"the platform's reply {reply.status} is not of the contract: {error}"
        raise Fault(FaultKind.NOT_UNDERSTOOD, details, ref=reply.ref, status=reply.status) from error


def is_good(reply: Reply) -> bool:
    """Whether the status says the request succeeded. A redirect is not followed: it is not the platform's."""
    return 200 <= reply.status < 300


def require_status(reply: Reply, status: int) -> None:
    """Refuse a good reply that is not the one the contract names: a portal says 200 to everything.

    Raises:
        Fault: NOT_UNDERSTOOD.
    """
    if reply.status != status:
        details = f"the reply has status {reply.status}, the platform's has {status}"
        raise Fault(FaultKind.NOT_UNDERSTOOD, details, ref=reply.ref, status=reply.status)


def fault_of(reply: Reply) -> Fault:
    """What a reply that is not good means to a flow."""
    problem = _problem(reply)
    return Fault(
        _kind(reply.status, problem.error_code),
        f"{problem.error_code}: {problem.message}",
        ref=problem.ref or reply.ref,
        retry_after_s=reply.retry_after_s,
        status=reply.status,
        code=None if problem.error_code == _UNKNOWN else problem.error_code,
    )


def _problem(reply: Reply) -> wire.Problem:
    """The body of an error; a proxy in between may answer with something else."""
    try:
        return wire.decode(reply.body, wire.Problem)
    except wire.UNREADABLE:
        return wire.Problem(message=f"HTTP status {reply.status}", error_code=_UNKNOWN, ref=reply.ref or "")


def _kind(status: int, code: str) -> FaultKind:
    if status < 400:
        return FaultKind.NOT_UNDERSTOOD
    leaf = refusals.by_code(code, status)
    if leaf is not None and leaf in _KINDS:
        return _KINDS[leaf]
    if status == 429 or status >= 500:
        return FaultKind.BUSY
    by_table = leaf is not None and issubclass(leaf, refusals.LinkRefused)
    return FaultKind.LINK_REFUSED if by_table else FaultKind.REFUSED


_UNKNOWN: Final = "UNKNOWN"
_KINDS: Final = {
    refusals.AppDisabled: FaultKind.DISABLED,
    refusals.InstallDisabled: FaultKind.DISABLED,
    refusals.UserDisabled: FaultKind.DISABLED,
    refusals.InstallGone: FaultKind.DELETED,
    refusals.InstallCloned: FaultKind.CLONED,
    refusals.InstallKeyUnproven: FaultKind.CLONED,
    refusals.Unauthenticated: FaultKind.UNAUTHENTICATED,
    refusals.AuthCodeUnknown: FaultKind.CODE_REFUSED,
    refusals.AuthCodeUsed: FaultKind.CODE_REFUSED,
    refusals.AuthCodeExpired: FaultKind.CODE_REFUSED,
}
"""Refusals that mean something of their own to a flow. A proxy's 401 is none: the platform ends credentials."""

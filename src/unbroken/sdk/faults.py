"""What a flow can meet, and what it is called in each operation: one table per operation, complete.

Whatever else goes wrong under way, code of the app's own included, is the operation's "unexpected" one: an operation
raises nothing but its own error.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from unbroken.sdk.errors import (
    CreateUserError,
    CreateUserReason,
    InitError,
    InitIssue,
    LinkUserError,
    LinkUserReason,
    SdkError,
    UserCallError,
    UserCallReason,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class FaultKind(Enum):
    """What a flow can meet, before an operation gives it its own name."""

    UNREACHABLE = "no reply"
    BUSY = "429 or 5xx"
    UNAUTHENTICATED = "401 UNAUTHENTICATED: the credential has ended"
    CODE_REFUSED = "401 AUTH_CODE_*: a new credential would not help"
    DISABLED = "app, user or install disabled"
    DELETED = "410 INSTALL_DELETED"
    CLONED = "409 INSTALL_CLONED, or 401 INSTALL_KEY_UNPROVEN: this device is not that install any more"
    LINKER_FAILED = "the linker failed, or its link is not confirmed"
    LINK_REFUSED = "a row of linking.md refused"
    CHANGED_APP = "the state was made with another app id"
    REFUSED = "any other 4xx"
    NOT_UNDERSTOOD = "a reply that is not of the contract: of a portal, or a proxy in between"
    PIN_MISMATCH = "whoever answered has none of the pinned keys"
    CLOSED = "the SDK was closed meanwhile"


class Fault(Exception):
    """A flow cannot go on.

    Args:
        kind: what it met.
        details: in words.
        ref: the platform's request id.
        retry_after_s: when the platform asked to be left alone.
        status: the HTTP status, where there was a reply.
        code: the platform's `errorCode`; None where the reply has not the form of its errors.
    """

    def __init__(
        self,
        kind: FaultKind,
        details: str,
        *,
        ref: str | None = None,
        retry_after_s: int | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(details)
        self.kind = kind
        self.details = details
        self.ref = ref
        self.retry_after_s = retry_after_s
        self.status = status
        self.code = code


INIT_ISSUES: Final = {
    FaultKind.UNREACHABLE: InitIssue.SERVICE_UNREACHABLE,
    FaultKind.BUSY: InitIssue.SERVICE_UNREACHABLE,
    FaultKind.UNAUTHENTICATED: InitIssue.INVALID_CREDENTIALS,
    FaultKind.CODE_REFUSED: InitIssue.INVALID_CREDENTIALS,
    FaultKind.DISABLED: InitIssue.REMOTE_DISABLED,
    FaultKind.DELETED: InitIssue.INITIALIZATION_ERROR,
    FaultKind.CLONED: InitIssue.INITIALIZATION_ERROR,
    FaultKind.LINKER_FAILED: InitIssue.LINK_FAILED,
    FaultKind.LINK_REFUSED: InitIssue.LINK_FAILED,
    FaultKind.CHANGED_APP: InitIssue.CHANGED_CREDENTIALS,
    FaultKind.REFUSED: InitIssue.INITIALIZATION_ERROR,
    FaultKind.NOT_UNDERSTOOD: InitIssue.INITIALIZATION_ERROR,
    FaultKind.PIN_MISMATCH: InitIssue.SERVICE_UNREACHABLE,
    FaultKind.CLOSED: InitIssue.INITIALIZATION_ERROR,
}

CREATE_USER_REASONS: Final = {
    FaultKind.UNREACHABLE: CreateUserReason.NETWORK_ERROR,
    FaultKind.BUSY: CreateUserReason.SERVER_ERROR,
    FaultKind.UNAUTHENTICATED: CreateUserReason.SERVER_ERROR,
    FaultKind.CODE_REFUSED: CreateUserReason.SERVER_ERROR,
    FaultKind.DISABLED: CreateUserReason.USER_DISABLED_REMOTELY,
    FaultKind.DELETED: CreateUserReason.SERVER_ERROR,
    FaultKind.CLONED: CreateUserReason.SERVER_ERROR,
    FaultKind.LINKER_FAILED: CreateUserReason.APP_SIDE_LINKING_FAILED,
    FaultKind.LINK_REFUSED: CreateUserReason.SERVER_ERROR,
    FaultKind.CHANGED_APP: CreateUserReason.UNEXPECTED_ERROR,
    FaultKind.REFUSED: CreateUserReason.SERVER_ERROR,
    FaultKind.NOT_UNDERSTOOD: CreateUserReason.UNEXPECTED_ERROR,
    FaultKind.PIN_MISMATCH: CreateUserReason.NETWORK_ERROR,
    FaultKind.CLOSED: CreateUserReason.UNEXPECTED_ERROR,
}

LINK_USER_REASONS: Final = {
    FaultKind.UNREACHABLE: LinkUserReason.NETWORK_ERROR,
    FaultKind.BUSY: LinkUserReason.SERVER_ERROR,
    FaultKind.UNAUTHENTICATED: LinkUserReason.SERVER_ERROR,
    FaultKind.CODE_REFUSED: LinkUserReason.SERVER_ERROR,
    FaultKind.DISABLED: LinkUserReason.USER_DISABLED_REMOTELY,
    FaultKind.DELETED: LinkUserReason.NO_USER,
    FaultKind.CLONED: LinkUserReason.NO_USER,
    FaultKind.LINKER_FAILED: LinkUserReason.APP_SIDE_LINKING_FAILED,
    FaultKind.LINK_REFUSED: LinkUserReason.SERVER_ERROR,
    FaultKind.CHANGED_APP: LinkUserReason.UNEXPECTED_ERROR,
    FaultKind.REFUSED: LinkUserReason.SERVER_ERROR,
    FaultKind.NOT_UNDERSTOOD: LinkUserReason.UNEXPECTED_ERROR,
    FaultKind.PIN_MISMATCH: LinkUserReason.NETWORK_ERROR,
    FaultKind.CLOSED: LinkUserReason.UNEXPECTED_ERROR,
}

USER_CALL_REASONS: Final = {
    FaultKind.UNREACHABLE: UserCallReason.NETWORK_ERROR,
    FaultKind.BUSY: UserCallReason.SERVER_ERROR,
    FaultKind.UNAUTHENTICATED: UserCallReason.SERVER_ERROR,
    FaultKind.CODE_REFUSED: UserCallReason.SERVER_ERROR,
    FaultKind.DISABLED: UserCallReason.USER_DISABLED_REMOTELY,
    FaultKind.DELETED: UserCallReason.NO_USER,
    FaultKind.CLONED: UserCallReason.NO_USER,
    FaultKind.LINKER_FAILED: UserCallReason.UNEXPECTED_ERROR,
    FaultKind.LINK_REFUSED: UserCallReason.SERVER_ERROR,
    FaultKind.CHANGED_APP: UserCallReason.UNEXPECTED_ERROR,
    FaultKind.REFUSED: UserCallReason.SERVER_ERROR,
    FaultKind.NOT_UNDERSTOOD: UserCallReason.UNEXPECTED_ERROR,
    FaultKind.PIN_MISMATCH: UserCallReason.NETWORK_ERROR,
    FaultKind.CLOSED: UserCallReason.UNEXPECTED_ERROR,
}


def as_init_error() -> AbstractContextManager[None]:
    """Name whatever comes in the words of `init`."""
    return _named(InitError, INIT_ISSUES, InitIssue.INITIALIZATION_ERROR)


def as_create_user_error() -> AbstractContextManager[None]:
    """Name whatever comes in the words of `create_user`."""
    return _named(CreateUserError, CREATE_USER_REASONS, CreateUserReason.UNEXPECTED_ERROR)


def as_link_user_error() -> AbstractContextManager[None]:
    """Name whatever comes in the words of `link_user`."""
    return _named(LinkUserError, LINK_USER_REASONS, LinkUserReason.UNEXPECTED_ERROR)


def as_user_call_error(error: type[UserCallError]) -> AbstractContextManager[None]:
    """Name whatever comes in the words of a call on behalf of the user."""
    return _named(error, USER_CALL_REASONS, UserCallReason.UNEXPECTED_ERROR)


class _Error(Protocol[R_contra]):
    """How an operation's error is made."""

    def __call__(self, reason: R_contra, details: str, /, *, ref: str | None = None) -> SdkError: ...


@contextmanager
def _named(error: _Error[R], reasons: Mapping[FaultKind, R], unexpected: R) -> Iterator[None]:
    try:
        yield
    except Fault as fault:
        raise error(reasons[fault.kind], fault.details, ref=fault.ref) from fault
    except Exception as other:
        raise error(unexpected, f"{type(other).__name__}: {other}") from other

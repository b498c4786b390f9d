"""What can go wrong in the SDK, as closed sets.

    SdkError
    ├── InitError              .issue   InitIssue
    ├── CreateUserError        .reason  CreateUserReason
    ├── LinkUserError          .reason  LinkUserReason
    ├── TokenError             .reason  UserCallReason
    ├── SubmitError            .reason  UserCallReason
    ├── MetadataError          .reason  UserCallReason
    ├── EnableDetectionsError  .reason  EnableDetectionsReason
    ├── ResetError             .reason  ResetReason
    ├── StateDamaged, StorageInUse, InvalidConfig, InvalidItem
    └── (SdkError itself: a call in the wrong InitState)

`Fault` is what a flow of the session meets; one table per operation turns its kind into that operation's reason.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


class InitIssue(Enum):
    """Why `init` failed (sdk.md, initialisation)."""

    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    CHANGED_CREDENTIALS = "CHANGED_CREDENTIALS"
    SERVICE_UNREACHABLE = "SERVICE_UNREACHABLE"
    LINK_FAILED = "LINK_FAILED"
    REMOTE_DISABLED = "REMOTE_DISABLED"
    INITIALIZATION_ERROR = "INITIALIZATION_ERROR"
    SDK_RESET_IN_PROGRESS = "SDK_RESET_IN_PROGRESS"


class CreateUserReason(Enum):
    """Why `create_user` failed."""

    SDK_RESET_IN_PROGRESS = "SDK_RESET_IN_PROGRESS"
    USER_CREATION_IN_PROGRESS = "USER_CREATION_IN_PROGRESS"
    USER_ALREADY_EXISTS = "USER_ALREADY_EXISTS"
    NETWORK_ERROR = "NETWORK_ERROR"
    SERVER_ERROR = "SERVER_ERROR"
    UNEXPECTED_ERROR = "UNEXPECTED_ERROR"
    USER_DISABLED_REMOTELY = "USER_DISABLED_REMOTELY"
    APP_SIDE_LINKING_FAILED = "APP_SIDE_LINKING_FAILED"


class LinkUserReason(Enum):
    """Why `link_user` failed."""

    NO_USER = "NO_USER"
    USER_ALREADY_LINKED = "USER_ALREADY_LINKED"
    NETWORK_ERROR = "NETWORK_ERROR"
    SERVER_ERROR = "SERVER_ERROR"
    USER_DISABLED_REMOTELY = "USER_DISABLED_REMOTELY"
    UNEXPECTED_ERROR = "UNEXPECTED_ERROR"
    APP_SIDE_LINKING_FAILED = "APP_SIDE_LINKING_FAILED"


class UserCallReason(Enum):
    """Why a token, an upload or metadata could not be had or sent."""

    NO_USER = "NO_USER"
    NETWORK_ERROR = "NETWORK_ERROR"
    SERVER_ERROR = "SERVER_ERROR"
    USER_DISABLED_REMOTELY = "USER_DISABLED_REMOTELY"
    UNEXPECTED_ERROR = "UNEXPECTED_ERROR"


class EnableDetectionsReason(Enum):
    """Why `enable_detections` failed."""

    NO_USER = "NO_USER"
    PAST_EXPIRY_DATE = "PAST_EXPIRY_DATE"
    USER_DISABLED_REMOTELY = "USER_DISABLED_REMOTELY"


class ResetReason(Enum):
    """Why `reset` failed."""

    SDK_INIT_IN_PROGRESS = "SDK_INIT_IN_PROGRESS"
    SDK_RESET_IN_PROGRESS = "SDK_RESET_IN_PROGRESS"
    EXCEPTION_OR_ERROR = "EXCEPTION_OR_ERROR"


class SdkError(Exception):
    """A call of the SDK that did not succeed.

    Args:
        details: what happened, for the developer.
        ref: the platform's request id, where it answered; support finds the log line by it.
    """

    def __init__(self, details: str, *, ref: str | None = None) -> None:
        super().__init__(f"{details} (ref {ref})" if ref else details)
        self.details = details
        self.ref = ref


class InvalidConfig(SdkError):
    """The configuration contradicts itself."""


class InvalidItem(SdkError):
    """An item is not of the contract's form (http-api.md, item kinds) and was not captured."""


class StateDamaged(SdkError):
    """The state on disk is not what was written; nothing is guessed from it. `reset()` starts over."""


class StorageInUse(SdkError):
    """Another process, or another SDK in this one, has this storage open."""


class InitError(SdkError):
    """`init` failed; `issue` says why, `__cause__` carries the exception of an INITIALIZATION_ERROR."""

    def __init__(self, issue: InitIssue, details: str, *, ref: str | None = None) -> None:
        super().__init__(f"{issue.value}: {details}", ref=ref)
        self.issue = issue


class CreateUserError(SdkError):
    """`create_user` failed."""

    def __init__(self, reason: CreateUserReason, details: str, *, ref: str | None = None) -> None:
        super().__init__(f"{reason.value}: {details}", ref=ref)
        self.reason = reason


class LinkUserError(SdkError):
    """`link_user` failed."""

    def __init__(self, reason: LinkUserReason, details: str, *, ref: str | None = None) -> None:
        super().__init__(f"{reason.value}: {details}", ref=ref)
        self.reason = reason


class UserCallError(SdkError):
    """A call on behalf of the user failed."""

    def __init__(self, reason: UserCallReason, details: str, *, ref: str | None = None) -> None:
        super().__init__(f"{reason.value}: {details}", ref=ref)
        self.reason = reason


class TokenError(UserCallError):
    """`request_user_access_token` failed."""


class SubmitError(UserCallError):
    """`submit_detections` failed; what was not sent is kept."""


class MetadataError(UserCallError):
    """`add_user_metadata_fields` failed; nothing was stored."""


class EnableDetectionsError(SdkError):
    """`enable_detections` failed."""

    def __init__(self, reason: EnableDetectionsReason, details: str) -> None:
        super().__init__(f"{reason.value}: {details}")
        self.reason = reason


class ResetError(SdkError):
    """`reset` failed; it can be called again."""

    def __init__(self, reason: ResetReason, details: str) -> None:
        super().__init__(f"{reason.value}: {details}")
        self.reason = reason


class FaultKind(Enum):
    """What a flow can meet, before an operation gives it its own name."""

    UNREACHABLE = "no reply"
    BUSY = "429 or 5xx"
    UNAUTHENTICATED = "401"
    DISABLED = "app, user or install disabled"
    DELETED = "410 INSTALL_DELETED"
    CLONED = "409 INSTALL_CLONED"
    LINKER_FAILED = "the linker failed, or its link is not confirmed"
    LINK_REFUSED = "a row of linking.md refused"
    CHANGED_APP = "the state was made with another app id"
    REFUSED = "any other 4xx"
    NOT_UNDERSTOOD = "a reply that is not of the contract"


class Fault(Exception):
    """A flow cannot go on.

    Args:
        kind: what it met.
        details: in words.
        ref: the platform's request id.
        retry_after_s: when the platform asked to be left alone.
        status: the HTTP status, where there was a reply.
    """

    def __init__(
        self,
        kind: FaultKind,
        details: str,
        *,
        ref: str | None = None,
        retry_after_s: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(details)
        self.kind = kind
        self.details = details
        self.ref = ref
        self.retry_after_s = retry_after_s
        self.status = status


INIT_ISSUES: Final = {
    FaultKind.UNREACHABLE: InitIssue.SERVICE_UNREACHABLE,
    FaultKind.BUSY: InitIssue.SERVICE_UNREACHABLE,
    FaultKind.UNAUTHENTICATED: InitIssue.INVALID_CREDENTIALS,
    FaultKind.DISABLED: InitIssue.REMOTE_DISABLED,
    FaultKind.DELETED: InitIssue.INITIALIZATION_ERROR,
    FaultKind.CLONED: InitIssue.INITIALIZATION_ERROR,
    FaultKind.LINKER_FAILED: InitIssue.LINK_FAILED,
    FaultKind.LINK_REFUSED: InitIssue.LINK_FAILED,
    FaultKind.CHANGED_APP: InitIssue.CHANGED_CREDENTIALS,
    FaultKind.REFUSED: InitIssue.INITIALIZATION_ERROR,
    FaultKind.NOT_UNDERSTOOD: InitIssue.INITIALIZATION_ERROR,
}

CREATE_USER_REASONS: Final = {
    FaultKind.UNREACHABLE: CreateUserReason.NETWORK_ERROR,
    FaultKind.BUSY: CreateUserReason.SERVER_ERROR,
    FaultKind.UNAUTHENTICATED: CreateUserReason.SERVER_ERROR,
    FaultKind.DISABLED: CreateUserReason.USER_DISABLED_REMOTELY,
    FaultKind.DELETED: CreateUserReason.SERVER_ERROR,
    FaultKind.CLONED: CreateUserReason.SERVER_ERROR,
    FaultKind.LINKER_FAILED: CreateUserReason.APP_SIDE_LINKING_FAILED,
    FaultKind.LINK_REFUSED: CreateUserReason.SERVER_ERROR,
    FaultKind.CHANGED_APP: CreateUserReason.UNEXPECTED_ERROR,
    FaultKind.REFUSED: CreateUserReason.SERVER_ERROR,
    FaultKind.NOT_UNDERSTOOD: CreateUserReason.UNEXPECTED_ERROR,
}

LINK_USER_REASONS: Final = {
    FaultKind.UNREACHABLE: LinkUserReason.NETWORK_ERROR,
    FaultKind.BUSY: LinkUserReason.SERVER_ERROR,
    FaultKind.UNAUTHENTICATED: LinkUserReason.SERVER_ERROR,
    FaultKind.DISABLED: LinkUserReason.USER_DISABLED_REMOTELY,
    FaultKind.DELETED: LinkUserReason.NO_USER,
    FaultKind.CLONED: LinkUserReason.NO_USER,
    FaultKind.LINKER_FAILED: LinkUserReason.APP_SIDE_LINKING_FAILED,
    FaultKind.LINK_REFUSED: LinkUserReason.SERVER_ERROR,
    FaultKind.CHANGED_APP: LinkUserReason.UNEXPECTED_ERROR,
    FaultKind.REFUSED: LinkUserReason.SERVER_ERROR,
    FaultKind.NOT_UNDERSTOOD: LinkUserReason.UNEXPECTED_ERROR,
}

USER_CALL_REASONS: Final = {
    FaultKind.UNREACHABLE: UserCallReason.NETWORK_ERROR,
    FaultKind.BUSY: UserCallReason.SERVER_ERROR,
    FaultKind.UNAUTHENTICATED: UserCallReason.SERVER_ERROR,
    FaultKind.DISABLED: UserCallReason.USER_DISABLED_REMOTELY,
    FaultKind.DELETED: UserCallReason.NO_USER,
    FaultKind.CLONED: UserCallReason.NO_USER,
    FaultKind.LINKER_FAILED: UserCallReason.UNEXPECTED_ERROR,
    FaultKind.LINK_REFUSED: UserCallReason.SERVER_ERROR,
    FaultKind.CHANGED_APP: UserCallReason.UNEXPECTED_ERROR,
    FaultKind.REFUSED: UserCallReason.SERVER_ERROR,
    FaultKind.NOT_UNDERSTOOD: UserCallReason.UNEXPECTED_ERROR,
}


@contextmanager
def as_create_user_error() -> Iterator[None]:
    """Name a fault in the words of `create_user`."""
    try:
        yield
    except Fault as fault:
        raise CreateUserError(CREATE_USER_REASONS[fault.kind], fault.details, ref=fault.ref) from fault


@contextmanager
def as_link_user_error() -> Iterator[None]:
    """Name a fault in the words of `link_user`."""
    try:
        yield
    except Fault as fault:
        raise LinkUserError(LINK_USER_REASONS[fault.kind], fault.details, ref=fault.ref) from fault


@contextmanager
def as_user_call_error(error: type[UserCallError]) -> Iterator[None]:
    """Name a fault in the words of a call on behalf of the user."""
    try:
        yield
    except Fault as fault:
        raise error(USER_CALL_REASONS[fault.kind], fault.details, ref=fault.ref) from fault

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
    ├── StateDamaged, StateLocked, StorageInUse, InvalidConfig, InvalidItem, PinUpdateRefused
    └── (SdkError itself: a call in the wrong InitState)

What a flow meets before an operation gives it its own name is a `Fault` (`faults.py`).
"""

from __future__ import annotations

from enum import Enum


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


class StateLocked(StateDamaged):
    """The state on disk waits for something beside it: its key is not to be had, or others may read the file.

    A later `init` tries again; `reset()` gives it up.
    """


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

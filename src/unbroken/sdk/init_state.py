"""Where initialisation stands: the states, the table of moves between them, and who may begin what (sdk.md)."""

from __future__ import annotations

import threading
from enum import Enum, auto
from typing import Final

from unbroken.sdk.errors import (
    CreateUserError,
    CreateUserReason,
    InitError,
    InitIssue,
    ResetError,
    ResetReason,
    SdkError,
)


class InitState(Enum):
    """The names of the mobile SDKs."""

    NOT_INITIALIZED = "NOT_INITIALIZED"
    INIT_IN_PROGRESS = "INIT_IN_PROGRESS"
    INITIALIZED = "INITIALIZED"
    RESETTING = "RESETTING"


class InitEvent(Enum):
    """What moves an `InitState`."""

    INIT_BEGINS = auto()
    INIT_SUCCEEDS = auto()
    INIT_FAILS = auto()
    RESET_BEGINS = auto()
    RESET_ENDS = auto()


TRANSITIONS: Final = {
    (InitState.NOT_INITIALIZED, InitEvent.INIT_BEGINS): InitState.INIT_IN_PROGRESS,
    (InitState.NOT_INITIALIZED, InitEvent.RESET_BEGINS): InitState.RESETTING,
    (InitState.INIT_IN_PROGRESS, InitEvent.INIT_SUCCEEDS): InitState.INITIALIZED,
    (InitState.INIT_IN_PROGRESS, InitEvent.INIT_FAILS): InitState.NOT_INITIALIZED,
    (InitState.INITIALIZED, InitEvent.RESET_BEGINS): InitState.RESETTING,
    (InitState.RESETTING, InitEvent.RESET_ENDS): InitState.NOT_INITIALIZED,
}
"""Every move there is; a pair that is missing is refused."""

_NO_USER_CREATED: Final = {
    InitState.RESETTING: CreateUserReason.SDK_RESET_IN_PROGRESS,
    InitState.INIT_IN_PROGRESS: CreateUserReason.USER_CREATION_IN_PROGRESS,
}
_NO_RESET: Final = {
    InitState.RESETTING: ResetReason.SDK_RESET_IN_PROGRESS,
    InitState.INIT_IN_PROGRESS: ResetReason.SDK_INIT_IN_PROGRESS,
}


class Initialisation:
    """The init state of one SDK. Of several threads that begin something at once, one may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = InitState.NOT_INITIALIZED
        self._is_closed = False

    @property
    def state(self) -> InitState:
        """Where it stands."""
        return self._state

    @property
    def is_closed(self) -> bool:
        """Whether nothing may begin any more."""
        return self._is_closed

    def begin_init(self) -> None:
        """Begin `init`.

        Raises:
            InitError: SDK_RESET_IN_PROGRESS.
            SdkError: it is initialising or initialised, or closed.
        """
        with self._lock:
            self._require_open()
            if self._state is InitState.RESETTING:  # step 2
                raise InitError(InitIssue.SDK_RESET_IN_PROGRESS, "a reset is running")
            if (self._state, InitEvent.INIT_BEGINS) not in TRANSITIONS:
                raise SdkError(f"init() is not possible while {self._state.value}")
            self._move(InitEvent.INIT_BEGINS)

    def begin_create_user(self, *, user_exists: bool) -> None:
        """Begin `create_user`.

        Raises:
            CreateUserError: with the reason.
            SdkError: it is closed.
        """
        with self._lock:
            self._require_open()
            refused = _NO_USER_CREATED.get(self._state)
            if user_exists:
                refused = refused or CreateUserReason.USER_ALREADY_EXISTS
            if refused is not None:
                raise CreateUserError(refused, f"a user cannot be created while {self._state.value}")
            if (self._state, InitEvent.INIT_BEGINS) not in TRANSITIONS:
                raise SdkError(f"create_user() is not possible while {self._state.value}")
            self._move(InitEvent.INIT_BEGINS)

    def begin_reset(self) -> None:
        """Begin `reset`.

        Raises:
            ResetError: with the reason.
            SdkError: it is closed.
        """
        with self._lock:
            self._require_open()
            refused = _NO_RESET.get(self._state)
            if refused is not None:
                raise ResetError(refused, f"reset() is not possible while {self._state.value}")
            self._move(InitEvent.RESET_BEGINS)

    def end(self, event: InitEvent) -> None:
        """End what began."""
        with self._lock:
            self._move(event)

    def close(self) -> None:
        """Let nothing begin any more; what is under way ends by itself."""
        with self._lock:
            self._is_closed = True

    def require_initialized(self) -> None:
        """Refuse a call that needs `init`.

        Raises:
            SdkError: it is not initialised, or closed.
        """
        self._require_open()
        if self._state is not InitState.INITIALIZED:
            raise SdkError(f"this call needs init() first; the SDK is {self._state.value}")

    def _require_open(self) -> None:
        if self._is_closed:
            raise SdkError("the SDK is closed")

    def _move(self, event: InitEvent) -> None:
        self._state = TRANSITIONS[self._state, event]

"""What `Sdk` and `AsyncSdk` share: everything that does not wait: what an app may ask, capturing, and the parts.

Nothing here sends, asks a linker or sleeps: that is the shells' part.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec.structs import replace

from unbroken.sdk.calls import Calls
from unbroken.sdk.capture import CaptureOutcome, Capturing
from unbroken.sdk.conversation import Conversation, Facts
from unbroken.sdk.eras import Era, Eras, Turn
from unbroken.sdk.errors import ResetError, ResetReason, SdkError, StorageInUse
from unbroken.sdk.farewell import leave
from unbroken.sdk.init_state import InitEvent, Initialisation, InitState
from unbroken.sdk.listeners import Listener, Listeners, report
from unbroken.sdk.memory import Memory
from unbroken.sdk.outbox import Dropped, Outbox
from unbroken.sdk.outbox_file import is_held
from unbroken.sdk.pin_updates import accept_update, pins_in_force
from unbroken.sdk.secret import Secret
from unbroken.sdk.status import DetectionStatus, SdkStatus
from unbroken.sdk.uploading import Uploading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken import wire
    from unbroken.sdk.config import Config
    from unbroken.sdk.pins import Pins
    from unbroken.sdk.state import State
    from unbroken.sdk.steps import Done, Flow, Step, Told

T = TypeVar("T")

FAREWELL_MAX_S: Final = 5.0
"""How long a reset may spend on telling the platform; the next `init` tells it what this one could not."""


@dataclass(frozen=True, slots=True)
class ResetResult:
    """What a reset left: items that could not be uploaded any more, and whether the platform knows of the reset yet."""

    lost_items: int
    platform_told: bool


class AnySdk(Generic[Turn]):
    """See the module.

    Args:
        new_turn: makes a lock of the shell's kind.

    Raises:
        StorageInUse: another SDK holds the storage.
        SdkError: the outbox cannot be opened.
    """

    def __init__(self, config: Config, new_turn: Callable[[], Turn]) -> None:
        self.config = config
        self._memory = Memory(config.storage, config.app_id)
        self._outbox = _open_outbox(config, self._memory)
        talk = Conversation(self._memory, _facts(config), config.clock, config.randomness)
        self._talk = talk
        self._capturing = Capturing(self._memory, self._outbox, config.clock, config.quotas.disk_bytes)
        self._uploading = Uploading(talk, self._outbox, config)
        self._initialisation = Initialisation()
        self._calls = Calls(talk, self._outbox, self._uploading, self._initialisation, config.link, self._announce)
        self._eras = Eras(self._memory, new_turn)
        self._listeners = Listeners()
        self._lent_secret: Secret | None = None

    # What the app may ask at any time

    @property
    def init_state(self) -> InitState:
        """Where initialisation stands."""
        return self._initialisation.state

    @property
    def user_exists(self) -> bool:
        """Whether this device has a user. Works before `init`."""
        return self._state.install_id is not None

    @property
    def is_user_linked(self) -> bool:
        """Whether the platform said, when last asked, that the user is linked. Works before `init`."""
        return self._state.linked

    @property
    def user_id(self) -> str | None:
        """The user's id, None before there is one."""
        return self._state.user_id

    @property
    def install_id(self) -> str | None:
        """This install's id, None before there is one."""
        return self._state.install_id

    @property
    def detection_status(self) -> DetectionStatus:
        """Whether an item captured now would be kept."""
        return self._capturing.status

    @property
    def status(self) -> SdkStatus:
        """Everything an app can show or act on."""
        state, detections = self._state, self.detection_status
        return SdkStatus(
            init_state=self.init_state,
            user_exists=self.user_exists,
            is_user_linked=self.is_user_linked,
            install_state=state.install_state,
            state_reason=state.state_reason,
            detection_status=detections,
            can_detect=detections is DetectionStatus.ENABLED_AND_DETECTING,
            is_remote_enabled=state.install_state not in {"disabled", "deleted"},
            disk_quota=self._capturing.disk_quota,
            network_quota=self._uploading.network_quota,
            waiting_items=self._outbox.waiting_items(),
            dropped_items=self._outbox.dropped_items(),
            pin_mismatch=self._talk.pin_watch.is_mismatch,
            pin_misses=state.pin_misses,
            seal=self._memory.seal_level,
        )

    def dropped(self) -> list[Dropped]:
        """Everything that was given up instead of uploaded, with the reason, oldest first."""
        return self._outbox.dropped()

    def on_status_update(self, listener: Listener) -> None:
        """Call `listener` with the new status whenever it changes. Listeners survive a reset.

        What a listener raises goes to the log `unbroken.sdk` and changes nothing.
        """
        self._listeners.add(listener)

    def apply_pin_update(self, update: str) -> None:
        """Exchange the pins for those of a signed update, from the next connection on. Works before `init`.

        It is on disk when this returns, and survives a reset.

        Raises:
            PinUpdateRefused: with the issue; nothing has changed.
            OSError: the disk refuses; nothing has changed.
        """
        self._memory.refuse_damage()
        config, now_ms = self.config, self._now_ms()

        def accepted(state: State) -> State:
            accept_update(update, config.pin_set, state.pin_update, config.host, now_ms)
            return replace(state, pin_update=update)

        self._memory.update_on_disk(accepted)

    # Capture

    def capture(self, *items: wire.Item) -> CaptureOutcome:
        """Queue items on disk; they are there when this returns CAPTURED, and nothing was kept otherwise.

        Raises:
            InvalidItem: an item is not of the contract's form; none of the call was kept.
            SdkError: the SDK is not initialised, or the disk refuses; none of the call was kept.
        """
        self._initialisation.require_initialized()
        return self._capturing.capture(items)

    def enable_detections(self, expiry_ms: int | None = None) -> DetectionStatus:
        """Capture from now on, until `expiry_ms` (epoch milliseconds) if given. Persistent.

        Raises:
            EnableDetectionsError: NO_USER, PAST_EXPIRY_DATE, USER_DISABLED_REMOTELY.
        """
        self._initialisation.require_initialized()
        self._capturing.enable(expiry_ms)
        self._announce()
        return self.detection_status

    def disable_detections(self) -> None:
        """Capture nothing from now on. Persistent; what waits is still uploaded."""
        self._initialisation.require_initialized()
        self._capturing.disable()
        self._announce()

    # For the shells

    def _pins(self) -> Pins:
        """Those in force; asked at each handshake, so never before there is a memory."""
        built_in = self.config.pin_set
        assert built_in is not None
        return pins_in_force(built_in, self._state.pin_update, self.config.host)

    @property
    def _state(self) -> State:
        return self._memory.state

    def _step(self, era: Era[Turn], flow: Flow[T], told: Told) -> Step | Done[T]:
        try:
            return self._eras.step(era, flow, told)
        finally:
            self._give_secret_back()

    @contextmanager
    def _resetting(self) -> Iterator[None]:
        """Around `reset`: ends in NOT_INITIALIZED, with the right error."""
        self._initialisation.begin_reset()
        try:
            yield
        except Exception as error:
            raise ResetError(ResetReason.EXCEPTION_OR_ERROR, f"{type(error).__name__}: {error}") from error
        finally:
            self._initialisation.end(InitEvent.RESET_ENDS)
            self._announce()

    def _forget(self) -> int:
        """Be nobody; every flow that still goes on ends. How many items were given up with it."""
        with self._eras.next():
            lost = self._outbox.waiting_items()
            self._memory.discard_damage()
            leave(self._memory, self.config.app_id)
            self._memory.keep()
            self._outbox.drop_others(None, "the SDK was reset", self._now_ms())
            self._outbox.remove_set_aside()
            return lost

    def _announce(self) -> None:
        if self._initialisation.is_closed:
            return
        try:
            status = self.status
        except (sqlite3.Error, SdkError) as error:
            if not self._initialisation.is_closed:  # else it was closed meanwhile, and nobody is to hear
                report("the status could not be read", error)
        else:
            self._listeners.tell(status)

    @contextmanager
    def _lending(self, value: object) -> Iterator[Secret]:
        """What the app's secret source gave, for one request. Text is wiped after it, whatever came of it.

        Raises:
            SdkError: it gave nothing usable; what it gave is not shown.
        """
        secret = Secret(value) if isinstance(value, str) else value
        if not (isinstance(secret, Secret) and secret):
            raise SdkError("the app secret is empty: its source gave none, or it was wiped after a registration")
        self._lent_secret = secret if secret is value else None
        try:
            yield secret
        finally:
            if secret is not value:
                secret.wipe()

    def _give_secret_back(self) -> None:
        """The app's own is wiped once there is an install; a reply that is not the platform's makes none."""
        lent, self._lent_secret = self._lent_secret, None
        if lent is not None and self.user_exists:
            lent.wipe()

    def _give_storage_back(self) -> None:
        self._outbox.close()
        self._memory.close()

    def _pause_s(self, until_ms: int, limit: float | None) -> float:
        """Seconds from now to `until_ms` of the device's clock, but not beyond `limit` of `time.monotonic`."""
        pause_s, most_s = max(0, until_ms - self._now_ms()) / 1000, left_s(limit)
        return pause_s if most_s is None else min(pause_s, most_s)

    def _now_ms(self) -> int:
        return self.config.clock.now_ms()


def left_s(until: float | None) -> float | None:
    """Seconds left until an instant of `time.monotonic`; None for no limit."""
    return None if until is None else max(0.0, until - time.monotonic())


def _open_outbox(config: Config, memory: Memory) -> Outbox:
    try:
        return Outbox(config.storage.directory / "outbox.sqlite", config.randomness, config.clock)
    except BaseException as error:  # the disk refuses, or somebody else has the file
        memory.close()
        if isinstance(error, sqlite3.Error):
            kind = StorageInUse if is_held(error) else SdkError
            raise kind(f"the outbox cannot be opened: {error}") from error
        raise


def _facts(config: Config) -> Facts:
    return Facts(
        app_id=config.app_id,
        has_secret=config.secret is not None,
        device=config.device,
        app_version=config.app_version,
        link_timeout_ms=int(config.link_timeout_s * 1000),
        retry_wait_max_ms=int(config.retry_wait_max_s * 1000),
        install_key=config.install_key,
    )

"""What `Sdk` and `AsyncSdk` share: everything that does not wait. Storage, init state, capture, status, flows.

Nothing here sends, asks a linker or sleeps: the flows hand those steps to the client that drives them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import msgspec
from msgspec.structs import replace

from unbroken import wire
from unbroken.sdk.errors import (
    INIT_ISSUES,
    CreateUserError,
    CreateUserReason,
    EnableDetectionsError,
    EnableDetectionsReason,
    Fault,
    InitError,
    InitIssue,
    InvalidItem,
    LinkUserError,
    LinkUserReason,
    MetadataError,
    ResetError,
    ResetReason,
    SdkError,
    StateDamaged,
    SubmitError,
    TokenError,
    UserCallError,
    UserCallReason,
    as_create_user_error,
    as_link_user_error,
    as_user_call_error,
)
from unbroken.sdk.outbox import Dropped, Outbox
from unbroken.sdk.secret import Secret
from unbroken.sdk.session import Facts, Flow, Session
from unbroken.sdk.state import State, StateFile
from unbroken.sdk.status import (
    TRANSITIONS,
    CaptureOutcome,
    DetectionStatus,
    InitEvent,
    InitState,
    QuotaStatus,
    SdkStatus,
    capture_outcome,
    detection_status,
    quota_status,
)
from unbroken.sdk.upload import Drop, Halve, Keep, Stored

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.sdk.config import Config
    from unbroken.sdk.linker import Linker

Listener = Callable[[SdkStatus], None]


@dataclass(frozen=True, slots=True)
class UserAccessToken:
    """A user token for the app's own calls; `expires_at_ms` in epoch milliseconds of the platform's clock."""

    token: Secret
    expires_at_ms: int

    def is_expired(self, now_ms: int) -> bool:
        """Whether it has ended at `now_ms`."""
        return now_ms >= self.expires_at_ms


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What a round of uploads did: items sent, and where it stopped early, why and until when."""

    items: int
    kept: Keep | None = None


@dataclass(frozen=True, slots=True)
class ResetResult:
    """What a reset left: items that could not be uploaded any more, and whether the platform knows of the reset yet."""

    lost_items: int
    platform_told: bool


class Shell:
    """See the module. The clients add what waits."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._file = StateFile(config.storage)
        self._damage: StateDamaged | None = None
        self._saved = self._load()
        self._session = Session(self._saved, _facts(config), config.clock, config.randomness)
        self._outbox = self._open_outbox(config.storage.directory)
        self._init_state = InitState.NOT_INITIALIZED
        self._moving = threading.Lock()
        self._listeners: list[Listener] = []
        self._last_status: SdkStatus | None = None

    # What the app may ask at any time

    @property
    def init_state(self) -> InitState:
        """Where initialisation stands."""
        return self._init_state

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
        return detection_status(self._state, self.config.clock.now_ms(), self._disk_quota())

    @property
    def status(self) -> SdkStatus:
        """Everything an app can show or act on."""
        detections = self.detection_status
        return SdkStatus(
            init_state=self._init_state,
            user_exists=self.user_exists,
            is_user_linked=self.is_user_linked,
            install_state=self._state.install_state,
            state_reason=self._state.state_reason,
            detection_status=detections,
            can_detect=detections is DetectionStatus.ENABLED_AND_DETECTING,
            is_remote_enabled=self._state.install_state not in {"disabled", "deleted"},
            disk_quota=self._disk_quota(),
            network_quota=self._network_quota(),
            waiting_items=self._outbox.waiting_items(),
            dropped_items=self._outbox.dropped_items(),
        )

    def dropped(self) -> list[Dropped]:
        """Everything that was given up instead of uploaded, with the reason, oldest first."""
        return self._outbox.dropped()

    def on_status_update(self, listener: Listener) -> None:
        """Call `listener` with the new status whenever it changes. Listeners survive a reset."""
        self._listeners.append(listener)

    # Capture

    def capture(self, *items: wire.Item) -> CaptureOutcome:
        """Queue items on disk; they are there when this returns CAPTURED, and nothing was kept otherwise.

        Raises:
            InvalidItem: an item is not of the contract's form; none of the call was kept.
            SdkError: the SDK is not initialised.
        """
        self._require_initialized()
        encoded = [_encode_item(item) for item in items]
        outcome = capture_outcome(self._state, self.config.clock.now_ms(), self._disk_quota())
        if outcome is CaptureOutcome.CAPTURED and self._state.install_id is not None:
            self._outbox.add(self._state.install_id, encoded)
        return outcome

    def enable_detections(self, expiry_ms: int | None = None) -> DetectionStatus:
        """Capture from now on, until `expiry_ms` (epoch milliseconds) if given. Persistent.

        Raises:
            EnableDetectionsError: NO_USER, PAST_EXPIRY_DATE, USER_DISABLED_REMOTELY.
        """
        self._require_initialized()
        if not self.user_exists:
            raise EnableDetectionsError(EnableDetectionsReason.NO_USER, "there is no user on this device")
        if expiry_ms is not None and expiry_ms <= self.config.clock.now_ms():
            raise EnableDetectionsError(EnableDetectionsReason.PAST_EXPIRY_DATE, "the expiry has passed")
        if self._state.install_state == "disabled":
            raise EnableDetectionsError(EnableDetectionsReason.USER_DISABLED_REMOTELY, str(self._state.state_reason))
        self._change(detections_enabled=True, detections_until_ms=expiry_ms)
        return self.detection_status

    def disable_detections(self) -> None:
        """Capture nothing from now on. Persistent; what waits is still uploaded."""
        self._require_initialized()
        self._change(detections_enabled=False, detections_until_ms=None)

    # Flows, in the order of the public calls

    def _initialise(self) -> Flow[None]:
        self._refuse_damage()
        self._outbox.drop_others(self._state.install_id, "captured by an install that was reset", self._now_ms())
        yield from self._session.initialise(self.config.link)
        self._drop_what_is_left_of_others()

    def _create_user(self, code: Secret) -> Flow[None]:
        self._refuse_damage()
        with as_create_user_error():
            yield from self._session.initialise(self.config.link, code)
            self._drop_what_is_left_of_others()

    def _link_user(self, by: Secret | Linker) -> Flow[None]:
        with as_link_user_error():
            if isinstance(by, Secret):
                yield from self._session.link_with_code(by)
            else:
                yield from self._session.link_through(by)

    def _request_token(self) -> Flow[UserAccessToken]:
        with as_user_call_error(TokenError):
            token = yield from self._session.fresh_token()
            return UserAccessToken(token, self._state.token_expires_at_ms)

    def _add_metadata(self, fields: Mapping[str, str]) -> Flow[None]:
        with as_user_call_error(MetadataError):
            yield from self._session.add_metadata(fields)

    def _submit(self) -> Flow[Uploaded]:
        with as_user_call_error(SubmitError):
            uploaded = yield from self._upload()
            if uploaded.kept is not None:
                raise uploaded.kept.fault
            return uploaded

    def _upload_within_quota(self) -> Flow[Uploaded]:
        if self._network_quota() is QuotaStatus.EXCEEDED:
            return Uploaded(0)
        return (yield from self._upload())

    def _upload(self, until_ms: int | None = None) -> Flow[Uploaded]:
        """Upload until nothing waits, something has to be kept, or `until_ms` has passed."""
        install_id, items, limit = self._state.install_id, 0, wire.PAYLOADS_MAX
        if install_id is None:
            return Uploaded(0)
        self._outbox.close_open(install_id, self._now_ms())
        while payloads := self._outbox.batch(install_id, limit):
            if until_ms is not None and self._now_ms() >= until_ms:
                break
            verdict = yield from self._session.upload(payloads)
            self._outbox.count_traffic(sum(len(payload.body) for payload in payloads), self._now_ms())
            match verdict:
                case Stored(results):
                    self._outbox.acknowledge(install_id, results, self._now_ms())
                    items += sum(payload.items for payload in payloads)
                case Drop(reason):
                    self._outbox.drop(install_id, payloads, reason, self._now_ms())
                    limit = wire.PAYLOADS_MAX
                case Halve():
                    limit = max(1, len(payloads) // 2)
                case Keep():
                    return Uploaded(items, verdict)
                case _:
                    assert_never(verdict)
        return Uploaded(items)

    def _reset(self) -> Flow[ResetResult]:
        if self._damage is None:
            yield from self._upload(self._now_ms() + int(self.config.reset_upload_max_s * 1000))
        lost = self._outbox.waiting_items()
        self._file.remove() if self._damage is not None else None
        self._damage = None
        self._session.leave()
        self._keep_state()
        self._outbox.drop_others(None, "the SDK was reset", self._now_ms())
        told = yield from self._session.say_farewells()
        return ResetResult(lost, told)

    # Moves between init states

    def _begin_init(self) -> None:
        """Raises InitError(SDK_RESET_IN_PROGRESS), or SdkError while initialising or initialised."""
        with self._moving:
            if self._init_state is InitState.RESETTING:  # step 2
                raise InitError(InitIssue.SDK_RESET_IN_PROGRESS, "a reset is running")
            if (self._init_state, InitEvent.INIT_BEGINS) not in TRANSITIONS:
                raise SdkError(f"init() is not possible while {self._init_state.value}")
            self._move(InitEvent.INIT_BEGINS)

    def _begin_create_user(self) -> None:
        with self._moving:
            refused = {
                InitState.RESETTING: CreateUserReason.SDK_RESET_IN_PROGRESS,
                InitState.INIT_IN_PROGRESS: CreateUserReason.USER_CREATION_IN_PROGRESS,
            }.get(self._init_state)
            if self.user_exists:
                refused = refused or CreateUserReason.USER_ALREADY_EXISTS
            if refused is not None:
                raise CreateUserError(refused, f"a user cannot be created while {self._init_state.value}")
            self._move(InitEvent.INIT_BEGINS)

    def _begin_reset(self) -> None:
        with self._moving:
            refused = {
                InitState.RESETTING: ResetReason.SDK_RESET_IN_PROGRESS,
                InitState.INIT_IN_PROGRESS: ResetReason.SDK_INIT_IN_PROGRESS,
            }.get(self._init_state)
            if refused is not None:
                raise ResetError(refused, f"reset() is not possible while {self._init_state.value}")
            self._move(InitEvent.RESET_BEGINS)

    @contextmanager
    def _initialising(self) -> Iterator[None]:
        """Around the flow of `init` and `create_user`: ends in INITIALIZED or NOT_INITIALIZED, with the right error."""
        try:
            yield
        except BaseException as error:
            self._end(InitEvent.INIT_FAILS)
            if isinstance(error, Fault):
                raise InitError(INIT_ISSUES[error.kind], error.details, ref=error.ref) from error
            if isinstance(error, SdkError) and not isinstance(error, StateDamaged):
                raise
            if isinstance(error, Exception):
                details = f"{type(error).__name__}: {error}"
                raise InitError(InitIssue.INITIALIZATION_ERROR, details) from error
            raise
        self._end(InitEvent.INIT_SUCCEEDS)

    @contextmanager
    def _resetting(self) -> Iterator[None]:
        """Around the flow of `reset`."""
        try:
            yield
        except Exception as error:
            raise ResetError(ResetReason.EXCEPTION_OR_ERROR, f"{type(error).__name__}: {error}") from error
        finally:
            self._end(InitEvent.RESET_ENDS)

    def _end(self, event: InitEvent) -> None:
        with self._moving:
            self._move(event)
        self._announce()

    def _move(self, event: InitEvent) -> None:
        self._init_state = TRANSITIONS[self._init_state, event]

    def _require_initialized(self) -> None:
        if self._init_state is not InitState.INITIALIZED:
            raise SdkError(f"this call needs init() first; the SDK is {self._init_state.value}")

    def _require_user(self, error: type[UserCallError]) -> None:
        self._require_initialized()
        if not self.user_exists:
            raise error(UserCallReason.NO_USER, "there is no user on this device")

    def _require_unlinked_user(self) -> None:
        self._require_initialized()
        if not self.user_exists:
            raise LinkUserError(LinkUserReason.NO_USER, "there is no user on this device")
        if self.is_user_linked:
            raise LinkUserError(LinkUserReason.USER_ALREADY_LINKED, "the user is linked already")

    # State on disk

    @property
    def _state(self) -> State:
        return self._session.state

    def _load(self) -> State:
        """The state, or an empty one where there is none or it is damaged; damage is told by `init`."""
        try:
            return self._file.load() or State(app_id=self.config.app_id)
        except StateDamaged as damage:
            self._damage = damage
            return State(app_id=self.config.app_id)

    def _refuse_damage(self) -> None:
        if self._damage is not None:
            raise self._damage

    def _keep_state(self) -> None:
        """Write the state if it changed; called by the drivers before every step."""
        if self._state is not self._saved:
            self._file.save(self._state)
            self._saved = self._state

    def _change(self, **fields: object) -> None:
        self._session.state = replace(self._state, **fields)
        self._keep_state()
        self._announce()

    def _announce(self) -> None:
        """Tell the listeners, if anything they can see has changed."""
        status = self.status
        if status != self._last_status:
            self._last_status = status
            for listener in tuple(self._listeners):
                listener(status)

    def _open_outbox(self, directory: Path) -> Outbox:
        try:
            return Outbox(directory / "outbox.sqlite", self.config.randomness)
        except sqlite3.Error as error:
            self._file.close()
            raise StateDamaged(f"the outbox is not readable: {error}") from error

    def _drop_what_is_left_of_others(self) -> None:
        reason = "captured by an install that was deleted or copied"
        self._outbox.drop_others(self._state.install_id, reason, self._now_ms())

    def _close_storage(self) -> None:
        self._outbox.close()
        self._file.close()

    def _disk_quota(self) -> QuotaStatus:
        return quota_status(self._outbox.used_bytes(), self.config.quotas.disk_bytes)

    def _network_quota(self) -> QuotaStatus:
        return quota_status(self._outbox.traffic_bytes(self._now_ms()), self.config.quotas.network_bytes)

    def _now_ms(self) -> int:
        return self.config.clock.now_ms()


def _facts(config: Config) -> Facts:
    return Facts(
        app_id=config.app_id,
        has_secret=config.secret is not None,
        device=config.device,
        app_version=config.app_version,
        link_timeout_ms=int(config.link_timeout_s * 1000),
        retry_wait_max_ms=int(config.retry_wait_max_s * 1000),
    )


def _encode_item(item: wire.Item) -> bytes:
    """The item as JSON, checked as the platform will check it: later there is nobody to tell."""
    try:
        encoded = wire.encode(item)
        msgspec.json.decode(encoded, type=wire.Item)
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError) as error:
        raise InvalidItem(f"not a valid item: {error}") from error
    return encoded

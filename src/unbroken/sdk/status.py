"""Where the SDK stands: its init state and the table of transitions, detections, quotas, the status an app sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.sdk.state import State


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


class DetectionStatus(Enum):
    """Whether the SDK captures."""

    DISABLED = "DISABLED"
    EXPIRED = "EXPIRED"
    ENABLED_BUT_BLOCKED = "ENABLED_BUT_BLOCKED"
    ENABLED_AND_DETECTING = "ENABLED_AND_DETECTING"


class QuotaStatus(Enum):
    """How much of a quota is used: WARNING above 90 %, EXCEEDED from 100 %."""

    OK = "OK"
    WARNING = "WARNING"
    EXCEEDED = "EXCEEDED"


class CaptureOutcome(Enum):
    """What became of an item given to `capture`; only CAPTURED was kept."""

    CAPTURED = "CAPTURED"
    NO_USER = "NO_USER"
    DETECTIONS_DISABLED = "DETECTIONS_DISABLED"
    DETECTIONS_EXPIRED = "DETECTIONS_EXPIRED"
    DETECTIONS_BLOCKED = "DETECTIONS_BLOCKED"
    DISK_QUOTA_EXCEEDED = "DISK_QUOTA_EXCEEDED"


@dataclass(frozen=True, slots=True)
class SdkStatus:
    """What an app can show or act on.

    `install_state` and `state_reason` are the platform's (linking.md, states of an install), as it said last;
    `can_detect` is false where that state blocks detections (the kill switch), though uploads may go on.
    """

    init_state: InitState
    user_exists: bool
    is_user_linked: bool
    install_state: str
    state_reason: str | None
    detection_status: DetectionStatus
    can_detect: bool
    is_remote_enabled: bool
    disk_quota: QuotaStatus
    network_quota: QuotaStatus
    waiting_items: int
    dropped_items: int


def quota_status(used: int, limit: int) -> QuotaStatus:
    """How `used` of `limit` bytes is to be called."""
    if used >= limit:
        return QuotaStatus.EXCEEDED
    return QuotaStatus.WARNING if used * 10 > limit * 9 else QuotaStatus.OK


def detection_status(state: State, now_ms: int, disk: QuotaStatus) -> DetectionStatus:
    """Whether an item captured at `now_ms` is kept."""
    if not state.detections_enabled:
        return DetectionStatus.DISABLED
    if state.detections_until_ms is not None and now_ms >= state.detections_until_ms:
        return DetectionStatus.EXPIRED
    if state.install_id is None or state.install_state != "active" or disk is QuotaStatus.EXCEEDED:
        return DetectionStatus.ENABLED_BUT_BLOCKED
    return DetectionStatus.ENABLED_AND_DETECTING


def capture_outcome(state: State, now_ms: int, disk: QuotaStatus) -> CaptureOutcome:
    """What becomes of an item at `now_ms`: the status above, with the reason of a block."""
    if state.install_id is None:
        return CaptureOutcome.NO_USER
    match detection_status(state, now_ms, disk):
        case DetectionStatus.DISABLED:
            return CaptureOutcome.DETECTIONS_DISABLED
        case DetectionStatus.EXPIRED:
            return CaptureOutcome.DETECTIONS_EXPIRED
        case DetectionStatus.ENABLED_AND_DETECTING:
            return CaptureOutcome.CAPTURED
        case DetectionStatus.ENABLED_BUT_BLOCKED if state.install_state == "active":
            return CaptureOutcome.DISK_QUOTA_EXCEEDED
        case DetectionStatus.ENABLED_BUT_BLOCKED:
            return CaptureOutcome.DETECTIONS_BLOCKED

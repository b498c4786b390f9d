"""The status an app sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken.sdk.init_state import InitState
    from unbroken.sdk.sealing import SealLevel


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


@dataclass(frozen=True, slots=True)
class SdkStatus:
    """What an app can show or act on.

    `install_state` and `state_reason` are the platform's (linking.md, states of an install), as it said last;
    `can_detect` is false where that state blocks detections (the kill switch), though uploads may go on.
    `pin_mismatch` is true from when somebody without a pinned key answered in the platform's place until the platform
    answers; `pin_misses` counts them on this device. `seal` says what protects the state at rest.
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
    pin_mismatch: bool
    pin_misses: int
    seal: SealLevel


def quota_status(used: int, limit: int) -> QuotaStatus:
    """How `used` of `limit` bytes is to be called."""
    if used >= limit:
        return QuotaStatus.EXCEEDED
    return QuotaStatus.WARNING if used * 10 > limit * 9 else QuotaStatus.OK

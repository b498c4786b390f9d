"""Capturing: what is kept on disk, when it is not, and the switch the app has for it."""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from unbroken import wire
from unbroken.sdk.errors import EnableDetectionsError, EnableDetectionsReason, InvalidItem, SdkError
from unbroken.sdk.status import DetectionStatus, QuotaStatus, quota_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.clock import Clock
    from unbroken.sdk.memory import Memory
    from unbroken.sdk.outbox import Outbox
    from unbroken.sdk.state import State

_ITEM: Final = msgspec.json.Decoder(wire.Item)
_DATA_DEPTH_MAX: Final = wire.DEPTH_MAX - 5
"""An upload is an object with a list of payloads, each an object with a list of items, each an object with `data`."""


class CaptureOutcome(Enum):
    """What became of an item given to `capture`; only CAPTURED was kept."""

    CAPTURED = "CAPTURED"
    NO_USER = "NO_USER"
    DETECTIONS_DISABLED = "DETECTIONS_DISABLED"
    DETECTIONS_EXPIRED = "DETECTIONS_EXPIRED"
    DETECTIONS_BLOCKED = "DETECTIONS_BLOCKED"
    DISK_QUOTA_EXCEEDED = "DISK_QUOTA_EXCEEDED"


class Capturing:
    """See the module. May be used from several threads.

    Args:
        disk_bytes: the disk quota.
    """

    def __init__(self, memory: Memory, outbox: Outbox, clock: Clock, disk_bytes: int) -> None:
        self._memory = memory
        self._outbox = outbox
        self._clock = clock
        self._disk_bytes = disk_bytes

    @property
    def disk_quota(self) -> QuotaStatus:
        """How much of the disk quota is used."""
        return quota_status(self._outbox.used_bytes(), self._disk_bytes)

    @property
    def status(self) -> DetectionStatus:
        """Whether an item captured now would be kept."""
        return detection_status(self._memory.state, self._clock.now_ms(), self.disk_quota)

    def capture(self, items: Sequence[wire.Item]) -> CaptureOutcome:
        """Queue items on disk; they are there when this returns CAPTURED, and nothing was kept otherwise.

        Raises:
            InvalidItem: an item is not of the contract's form; none of the call was kept.
            SdkError: the disk refuses; none of the call was kept.
        """
        encoded = [_encode(item) for item in items]
        state = self._memory.state
        outcome = capture_outcome(state, self._clock.now_ms(), self.disk_quota)
        if outcome is CaptureOutcome.CAPTURED and state.install_id is not None:
            self._keep(state.install_id, encoded)
        return outcome

    def _keep(self, install_id: str, encoded: Sequence[bytes]) -> None:
        try:
            self._outbox.add(install_id, encoded)
        except sqlite3.Error as error:
            raise SdkError(f"the items could not be kept: {error}") from error

    def enable(self, expiry_ms: int | None) -> None:
        """Capture from now on, until `expiry_ms` (epoch milliseconds) if given. On disk when this returns.

        Raises:
            EnableDetectionsError: with the reason.
        """
        state = self._memory.state
        if state.install_id is None:
            raise EnableDetectionsError(EnableDetectionsReason.NO_USER, "there is no user on this device")
        if expiry_ms is not None and expiry_ms <= self._clock.now_ms():
            raise EnableDetectionsError(EnableDetectionsReason.PAST_EXPIRY_DATE, "the expiry has passed")
        if state.install_state == "disabled":
            raise EnableDetectionsError(EnableDetectionsReason.USER_DISABLED_REMOTELY, str(state.state_reason))
        self._switch(on=True, until_ms=expiry_ms)

    def disable(self) -> None:
        """Capture nothing from now on. On disk when this returns."""
        self._switch(on=False, until_ms=None)

    def _switch(self, *, on: bool, until_ms: int | None) -> None:
        self._memory.change(detections_enabled=on, detections_until_ms=until_ms)
        self._memory.keep()


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


def _encode(item: wire.Item) -> bytes:
    """The item as JSON, checked as the platform will check it: later there is nobody to tell."""
    try:
        encoded = wire.encode(item)
        read = _ITEM.decode(encoded)
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidItem(f"not a valid item: {error}") from error
    if isinstance(read, wire.Custom):
        _check_data(read)
    return encoded


def _check_data(item: wire.Custom) -> None:
    """What the types do not check. Of an upload that is nested too deeply the platform takes nothing."""
    if len(wire.encode(item.data)) > wire.CUSTOM_DATA_MAX_BYTES:
        raise InvalidItem(f"not a valid item: custom data may have {wire.CUSTOM_DATA_MAX_BYTES} bytes")
    if _is_deeper(item.data, _DATA_DEPTH_MAX):
        raise InvalidItem(f"not a valid item: custom data may be nested {_DATA_DEPTH_MAX} deep")


def _is_deeper(value: object, most: int) -> bool:
    """Whether it is nested more than `most` deep; what lies deeper yet is not looked at."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_is_deeper(one, most - 1) for one in inside)

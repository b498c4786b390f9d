"""The device SDK: initialise, link, capture, upload. `Sdk` blocks, `AsyncSdk` awaits.

Flows decide what is next (`initialise.py`, `uploading.py`, `farewell.py`); the two shells do it (`blocking.py`,
`awaiting.py`). Loading this package loads no HTTP client and nothing of the server.
"""

from __future__ import annotations

from unbroken.sdk.any_sdk import ResetResult
from unbroken.sdk.awaiting import AsyncSdk
from unbroken.sdk.blocking import Sdk
from unbroken.sdk.calls import UserAccessToken
from unbroken.sdk.capture import CaptureOutcome
from unbroken.sdk.config import Config, Quotas
from unbroken.sdk.errors import (
    CreateUserError,
    CreateUserReason,
    EnableDetectionsError,
    EnableDetectionsReason,
    InitError,
    InitIssue,
    InvalidConfig,
    InvalidItem,
    LinkUserError,
    LinkUserReason,
    MetadataError,
    ResetError,
    ResetReason,
    SdkError,
    StateDamaged,
    StateLocked,
    StorageInUse,
    SubmitError,
    TokenError,
    UserCallError,
    UserCallReason,
)
from unbroken.sdk.init_state import InitState
from unbroken.sdk.install_key import InstallKey
from unbroken.sdk.linker import NO_OP, Linker, LinkRequest, with_ticket
from unbroken.sdk.outbox import Dropped
from unbroken.sdk.pin_updates import PinUpdateIssue, PinUpdateRefused
from unbroken.sdk.pins import Pins, pinned_context
from unbroken.sdk.sealing import KeySeal, Seal, SealLevel, Unsealed
from unbroken.sdk.secret import Secret
from unbroken.sdk.state import Storage
from unbroken.sdk.status import DetectionStatus, QuotaStatus, SdkStatus
from unbroken.sdk.uploading import Uploaded
from unbroken.wire import Activity, Custom, Device, Location

__all__ = [
    "NO_OP",
    "Activity",
    "AsyncSdk",
    "CaptureOutcome",
    "Config",
    "CreateUserError",
    "CreateUserReason",
    "Custom",
    "DetectionStatus",
    "Device",
    "Dropped",
    "EnableDetectionsError",
    "EnableDetectionsReason",
    "InitError",
    "InitIssue",
    "InitState",
    "InstallKey",
    "InvalidConfig",
    "InvalidItem",
    "KeySeal",
    "LinkRequest",
    "LinkUserError",
    "LinkUserReason",
    "Linker",
    "Location",
    "MetadataError",
    "PinUpdateIssue",
    "PinUpdateRefused",
    "Pins",
    "QuotaStatus",
    "Quotas",
    "ResetError",
    "ResetReason",
    "ResetResult",
    "Sdk",
    "SdkError",
    "SdkStatus",
    "Seal",
    "SealLevel",
    "Secret",
    "StateDamaged",
    "StateLocked",
    "Storage",
    "StorageInUse",
    "SubmitError",
    "TokenError",
    "Unsealed",
    "Uploaded",
    "UserAccessToken",
    "UserCallError",
    "UserCallReason",
    "pinned_context",
    "with_ticket",
]

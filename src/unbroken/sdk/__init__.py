"""The device SDK: initialise, link, capture, upload. `Sdk` blocks, `AsyncSdk` awaits.

A pure session (`session.py`) decides what is next; the shells (`client.py`) do it. Loading this package loads no HTTP
client and nothing of the server.
"""

from __future__ import annotations

from unbroken.sdk.client import AsyncSdk, Sdk
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
    StorageInUse,
    SubmitError,
    TokenError,
    UserCallError,
    UserCallReason,
)
from unbroken.sdk.linker import NO_OP, Linker, LinkRequest, with_ticket
from unbroken.sdk.outbox import Dropped
from unbroken.sdk.secret import Secret
from unbroken.sdk.shell import ResetResult, Uploaded, UserAccessToken
from unbroken.sdk.state import Seal, Storage
from unbroken.sdk.status import CaptureOutcome, DetectionStatus, InitState, QuotaStatus, SdkStatus
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
    "InvalidConfig",
    "InvalidItem",
    "LinkRequest",
    "LinkUserError",
    "LinkUserReason",
    "Linker",
    "Location",
    "MetadataError",
    "QuotaStatus",
    "Quotas",
    "ResetError",
    "ResetReason",
    "ResetResult",
    "Sdk",
    "SdkError",
    "SdkStatus",
    "Seal",
    "Secret",
    "StateDamaged",
    "Storage",
    "StorageInUse",
    "SubmitError",
    "TokenError",
    "Uploaded",
    "UserAccessToken",
    "UserCallError",
    "UserCallReason",
    "with_ticket",
]

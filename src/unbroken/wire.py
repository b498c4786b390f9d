"""What crosses the network: one frozen type per request and reply of http-api.md, and how JSON becomes one.

Ids travel as 24 hex characters; times out are ISO 8601 strings (`iso`), times in are epoch milliseconds or ISO 8601.
Limits that belong to the contract stand here, once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

BODY_MAX_BYTES: Final = 1 << 20
BODY_MAX_DECOMPRESSED_BYTES: Final = 8 << 20
PAYLOADS_MAX: Final = 32
ITEMS_MAX: Final = 2_000
DEPTH_MAX: Final = 16
CUSTOM_DATA_MAX_BYTES: Final = 4 << 10
METADATA_KEYS_MAX: Final = 50
METADATA_MAX_CHARACTERS: Final = 500
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000

T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS: Final = 253_402_300_799_999  # the end of the year 9999, the last that ISO 8601 can say

Text = Annotated[str, Meta(max_length=255)]
Instant = Annotated[int, Meta(ge=0, le=_LATEST_MS)]
"""Epoch milliseconds."""


def iso(at_ms: int, zone: tzinfo = UTC) -> str:
    """An instant as replies write it: `2026-11-23T21:12:54.000+00:00`; what no calendar can say is its last day."""
    at_ms = min(at_ms, _LATEST_MS - 86_400_000)
    return (EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).isoformat(timespec="milliseconds")


def parse_iso(text: str) -> int | None:
    """Epoch milliseconds of an ISO 8601 time with offset or `Z`, or None where `text` is no such thing."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    at_ms = (when - EPOCH) // timedelta(milliseconds=1)
    return at_ms if 0 <= at_ms <= _LATEST_MS else None


def fixed_zone(offset_minutes: int) -> tzinfo:
    """The zone of a fixed offset from UTC."""
    return timezone(timedelta(minutes=offset_minutes))


# Device API: requests


class Device(Struct, frozen=True, omit_defaults=True):
    """What the SDK reports of the device: facts, never a hardware identifier."""

    platform: Literal["android", "ios", "other"]
    screen_inches: Annotated[float, Meta(gt=0, le=1000)] | None = None
    idiom: Literal["phone", "pad"] | None = None
    model: Text | None = None
    os_version: Text | None = None
    time_zone: Text | None = None


class SdkVersion(Struct, frozen=True):
    """Which SDK speaks."""

    name: Text
    version: Text


class Register(Struct, frozen=True, omit_defaults=True):
    """POST /sdk/installs."""

    device: Device
    sdk: SdkVersion
    app_version: Text | None = None
    restored_from: Text | None = None
    authentication_code: Annotated[str, Meta(max_length=512)] | None = None


class RedeemCode(Struct, frozen=True):
    """POST /sdk/link."""

    authentication_code: Annotated[str, Meta(max_length=512)]


Metadata = dict[
    Annotated[str, Meta(min_length=1, max_length=METADATA_MAX_CHARACTERS)],
    Annotated[str, Meta(max_length=METADATA_MAX_CHARACTERS)],
]
"""PUT /sdk/metadata."""


class Location(Struct, frozen=True, tag="location", tag_field="kind", omit_defaults=True, gc=False):
    """Where the device was at `t`. Degrees WGS84, metres, metres per second, degrees from north."""

    t: Instant
    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]
    acc: Annotated[float, Meta(ge=0)] | None = None
    alt: float | None = None
    speed: float | None = None
    course: float | None = None


class Activity(Struct, frozen=True, tag="activity", tag_field="kind", omit_defaults=True, gc=False):
    """What the operating system thought the person was doing at `t`."""

    t: Instant
    type: Literal["still", "walking", "running", "cycling", "automotive", "unknown"]
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None


class Custom(Struct, frozen=True, tag="custom", tag_field="kind", omit_defaults=True):
    """Whatever the app wants to say about `t`; at most 4 KiB of `data`."""

    t: Instant
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    data: dict[str, Any]


Item = Location | Activity | Custom


class Payload(Struct, frozen=True):
    """A closed list of items under the id the SDK gave it."""

    payload_id: str
    items: list[Item]


class Upload(Struct, frozen=True):
    """POST /sdk/payloads; `sent_at` is the device's clock at this very attempt."""

    sent_at: Instant
    payloads: list[Payload]


# Device API: replies


class UserToken(Struct, frozen=True):
    """A signed token and when it ends."""

    token: str
    expires_at: str


class SdkConfig(Struct, frozen=True):
    """What the app's operator decided that the SDK must know."""

    linking: Literal["off", "on", "required"]


class OwnState(Struct, frozen=True, omit_defaults=True):
    """GET /sdk/install, POST /sdk/link: how the platform sees this install now."""

    install_id: str
    user_id: str
    state: str
    state_reason: str | None = field()
    linked: bool
    config: SdkConfig
    link_ticket: str | None = None


class Registered(Struct, frozen=True):
    """The reply of POST /sdk/installs."""

    install_id: str
    user_id: str
    install_credential: str
    user_token: UserToken
    state: str
    state_reason: str | None
    linked: bool
    config: SdkConfig


class Tokens(Struct, frozen=True):
    """The reply of POST /sdk/tokens."""

    install_credential: str
    user_token: UserToken


class InvalidItem(Struct, frozen=True):
    """An item that was refused alone: its place in the payload's list, and why."""

    index: int
    reason: str


class PayloadResult(Struct, frozen=True):
    """What became of one payload of an upload."""

    payload_id: str
    outcome: Literal["stored"]
    invalid: list[InvalidItem]


class UploadResults(Struct, frozen=True):
    """The reply of POST /sdk/payloads: everything in it is durable."""

    results: list[PayloadResult]
    state: str
    state_reason: str | None


# Backend API


class Link(Struct, frozen=True):
    """POST /v2/users/{install_id}/link. The external id is checked by row 1, not here."""

    external_id: Any = None
    link_ticket: str | None = None


class MintCode(Struct, frozen=True):
    """POST /users/auth-code."""

    external_id: Any = None


class Linked(Struct, frozen=True, omit_defaults=True):
    """The reply of a link; `person_id` is the same as `id`, for older clients. A dry run tells what would differ."""

    id: str
    person_id: str
    link_id: str
    state: str
    state_reason: str | None = field()
    dry_run: bool = False
    summary: Summary | None = None


class InstallChange(Struct, frozen=True):
    """How one install stands before and after a change."""

    install_id: str
    user_before: str
    user_after: str
    state_before: str
    state_after: str


class ActivationChange(Struct, frozen=True, rename={"from_": "from"}):
    """An activation that a change gives or takes."""

    change: Literal["gained", "lost"]
    install_id: str
    user_id: str
    from_: str
    to: str | None


class DayChange(Struct, frozen=True):
    """How many events a user's timeline gains and loses on one day, UTC; `moved` come from or go to another user."""

    user_id: str
    day: str
    gained: int
    lost: int
    moved: int


class Summary(Struct, frozen=True):
    """What would differ, or differs, by a change."""

    installs: list[InstallChange]
    activations: list[ActivationChange]
    days: list[DayChange]


class Undone(Struct, frozen=True, omit_defaults=True):
    """POST /v3/links/{link_id}/undo: the user of the link's account, and the install's own."""

    undo_id: str
    link_id: str
    user_id: str
    own_user_id: str
    summary: Summary
    dry_run: bool = False


class Rename(Struct, frozen=True):
    """PUT /v3/users/{user_id}/external_id. `release_old` frees the older ids for others."""

    external_id: Any = None
    release_old: bool = False
    reason: Annotated[str, Meta(max_length=500)] | None = None


class SetState(Struct, frozen=True):
    """PUT /v3/users/{user_id}/state and /v3/installs/{install_id}/state."""

    state: Literal["enabled", "disabled"]
    reason: Annotated[str, Meta(max_length=500)] | None = None


class Why(Struct, frozen=True):
    """A body that only says why."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class Changed(Struct, frozen=True, omit_defaults=True):
    """The reply of a change that an operator or the customer's server makes on purpose."""

    user_id: str
    install_id: str | None = field()
    state: str
    state_reason: str | None
    summary: Summary
    dry_run: bool = False


class Renamed(Struct, frozen=True, omit_defaults=True):
    """The reply of a rename: every external id that links to the user now, the present one first."""

    id: str
    external_id: str
    external_ids: list[str]
    dry_run: bool = False


class AuthCode(Struct, frozen=True):
    """The reply of POST /users/auth-code."""

    authentication_code: str
    expires_at: str


class Profile(Struct, frozen=True, tag="User", tag_field="type"):
    """GET /v2/users/{user_id}."""

    id: str
    created_at: str
    application_id: str
    install_id: str | None
    external_id: str | None
    metadata: dict[str, str]


class ActivationView(Struct, frozen=True, rename={"from_": "from"}):
    """An interval in which an install was the active one; `to` is null while it goes on."""

    activation_id: str
    from_: str
    to: str | None


class InstallView(Struct, frozen=True):
    """One install of a user, as an operator sees it."""

    install_id: str
    form: str
    device: Device
    registered_at: str
    state: str
    state_reason: str | None
    linked: bool
    link_id: str | None
    activations: list[ActivationView]


class InstallList(Struct, frozen=True, omit_defaults=True):
    """GET /v3/users/{user_id}/installs."""

    installs: list[InstallView]
    next_cursor: str | None = None


class FactView(Struct, frozen=True):
    """One fact of the ledger."""

    fact_id: str
    position: int
    at: str
    kind: str
    fields: dict[str, Any]
    actor: str
    reason: str | None


class FactList(Struct, frozen=True, omit_defaults=True):
    """GET /v3/users/{user_id}/ledger."""

    facts: list[FactView]
    next_cursor: str | None = None


class Counterfactual(Struct, frozen=True, rename={"if_": "if", "then": "then"}):
    """What would have had to differ (`form`, `registered_at`, or a fact left out), and the state it would give."""

    if_: dict[str, Any]
    then: str
    sentence: str


class Explanation(Struct, frozen=True):
    """GET /v3/installs/{install_id}/explain.

    `policy_version` is the position of the change of policy in force, 0 for the defaults; `link` what the install's
    link was decided on: the row of the decision table and what it looked at.
    """

    install_id: str
    at: str
    state: str
    linked: bool
    rule: str
    inputs: dict[str, Any]
    sentence: str
    policy_version: int = 0
    link: dict[str, Any] | None = None
    counterfactuals: list[Counterfactual] = field(default_factory=list)


class ItemCount(Struct, frozen=True):
    """How many items of an install had an outcome."""

    install_id: str
    outcome: str
    count: int


class EventExplanation(Struct, frozen=True):
    """GET /v3/users/{user_id}/events/{event_id}/explain; `successor` stands where a removed event stood."""

    event_id: str
    revision: int
    type: str | None
    sentence: str
    items: list[ItemCount]
    successor: str | None


class ItemView(Struct, frozen=True):
    """What became of one item."""

    install_id: str
    payload_id: str
    captured_at: str
    received_at: str
    outcome: str
    item: msgspec.Raw


class ItemList(Struct, frozen=True, omit_defaults=True):
    """GET /v3/users/{user_id}/items."""

    items: list[ItemView]
    next_cursor: str | None = None


class Receipt(Struct, frozen=True, omit_defaults=True, rename={"from_": "from"}):
    """The reply of every erasure: what was deleted, where and when; signed, and without any id of the person.

    `user` and `install` are keyed hashes. `from` and `to` are there where only a time range was erased. The signature
    is over all other members (`flow/receipts.py`); a dry run is not signed.
    """

    receipt_id: str
    application_id: str
    erased: Literal["user", "install", "items"]
    user: str
    erased_at: str
    deleted: dict[str, int]
    install: str | None = None
    from_: str | None = None
    to: str | None = None
    key_id: str = ""
    signature: str = ""
    dry_run: bool = False


# Errors


class ErrorDetail(Struct, frozen=True):
    """Where in the request something is wrong."""

    path: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True, rename={"error_code": "errorCode"}):
    """The body of every error (http-api.md, conventions). `ref` is the request id."""

    message: str
    error_code: str
    ref: str
    hint: str | None = None
    errors: list[ErrorDetail] = field(default_factory=list)


def encode(value: Any) -> bytes:
    """JSON of a reply or request."""
    return msgspec.json.encode(value)


def decode(body: bytes, type_: type[T]) -> T:
    """A reply, or a request that was checked before; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return msgspec.json.decode(body, type=type_)


def plain(value: Struct) -> Mapping[str, Any]:
    """The JSON object of `value` as builtins."""
    builtins: Mapping[str, Any] = msgspec.to_builtins(value)
    return builtins

"""Uploads: payloads of items, and what became of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from unbroken.wire.instant import Instant


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

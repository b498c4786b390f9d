"""How an event is served: encoded once, when it is computed, and only joined with what may change when it is read.

The significance of a place is the one thing that later days may change about an old stay, so a stay's JSON is kept in
two parts around it (research: a label is joined, never written into the past).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from unbroken import wire
from unbroken.domain.timeline.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

_SIGNIFICANCE: Final = b'"significance":'
_HIDDEN: Final = frozenset({EventType.OFF_THE_GRID, EventType.UNKNOWN})
"""The reference platform never sends them; `types=all` does."""

NEW_PLACE: Final = "new"


class Encoded(Struct, array_like=True, frozen=True):
    """An event as it is kept and served.

    Args:
        is_hidden: only told to those who ask for all types.
        place_id: whose significance stands between `head` and `tail`; None where `head` is the whole.
        lat, lon: centre of a stay or start of a movement, degrees; None where nothing is known.
        is_closed: later items in order cannot change it.
    """

    event_id: str
    start_ms: int
    end_ms: int | None
    type: str
    is_hidden: bool
    is_closed: bool
    place_id: str | None
    lat: float | None
    lon: float | None
    mode: str | None
    install: bytes
    head: bytes
    tail: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode_one = msgspec.msgpack.Decoder(Encoded).decode
_decode_many = msgspec.msgpack.Decoder(list[Encoded]).decode
_decode_labels = msgspec.msgpack.Decoder(dict[str, str]).decode


def encode(event: Event, zone: tzinfo, *, is_closed: bool, place_id: str | None) -> Encoded:
    """An event as JSON, its times in the zone of the install that opened it (http-api.md, compat events)."""
    whole = wire.encode(_members(event, zone, is_closed=is_closed, place_id=place_id))
    head, tail = whole, b""
    if place_id is not None:
        cut = whole.index(_SIGNIFICANCE) + len(_SIGNIFICANCE)
        head, tail = whole[:cut], whole[cut + len(b"null") :]
    return Encoded(
        event_id=event.event_id,
        start_ms=event.start_ms,
        end_ms=event.end_ms,
        type=event.type.value,
        is_hidden=event.type in _HIDDEN,
        is_closed=is_closed,
        place_id=place_id,
        lat=event.lat,
        lon=event.lon,
        mode=event.mode.value if event.mode else None,
        install=event.install,
        head=head,
        tail=tail,
    )


def _members(event: Event, zone: tzinfo, *, is_closed: bool, place_id: str | None) -> dict[str, Any]:
    members: dict[str, Any] = {
        "type": event.type.value,
        "event_id": event.event_id,
        "start": wire.iso(event.start_ms, zone),
        "start_ts": event.start_ms,
        "end": None if event.end_ms is None else wire.iso(event.end_ms, zone),
        "end_ts": event.end_ms,
        "analysis_type": "indepth" if is_closed else "preliminary",
        "install_id": event.install.hex(),
        "activation_id": event.activation.hex(),
        "installs": [install.hex() for install in event.installs],
        "confidence": event.confidence,
        "inferred": event.inferred,
    }
    return {**members, **_of_type(event, place_id)}


def _of_type(event: Event, place_id: str | None) -> dict[str, Any]:
    match event.type:
        case EventType.STATIONARY:
            duration = None if event.end_ms is None else event.end_ms - event.start_ms
            location = {"type": "StationaryLocation", "place_id": place_id, "significance": None}
            where = {"latitude": event.lat, "longitude": event.lon, "radius": event.radius_m}
            return {**where, "duration": duration, "location": location}
        case EventType.TRANSPORT:
            mode = event.mode.value if event.mode else None
            return {"mode": mode, "distance": event.distance_m, "trip_id": event.trip_id}
        case _:
            return {"reason": event.reason}


def served(event: Encoded, labels: Mapping[str, str]) -> bytes:
    """The event's JSON, complete."""
    if event.place_id is None:
        return event.head
    return event.head + wire.encode(labels.get(event.place_id, NEW_PLACE)) + event.tail


class _ServedLocation(Struct):
    place_id: str | None = None


class _Served(Struct):
    type: EventType
    event_id: str
    start_ts: int
    end_ts: int | None
    analysis_type: str
    install_id: str
    latitude: float | None = None
    longitude: float | None = None
    mode: str | None = None
    location: _ServedLocation | None = None


def revived(whole: bytes) -> Encoded:
    """An event from its JSON, as `served` told it; where a movement began is not in it.

    Raises:
        ValueError: it is none (`msgspec.ValidationError` is one).
    """
    told = wire.decode(whole, _Served)
    place_id = told.location.place_id if told.location is not None else None
    head, tail = whole, b""
    if place_id is not None:
        cut = whole.index(_SIGNIFICANCE) + len(_SIGNIFICANCE)
        head, tail = whole[:cut], whole[whole.index(b'"', cut + 1) + 1 :]
    return Encoded(
        event_id=told.event_id,
        start_ms=told.start_ts,
        end_ms=told.end_ts,
        type=told.type.value,
        is_hidden=told.type in _HIDDEN,
        is_closed=told.analysis_type == "indepth",
        place_id=place_id,
        lat=told.latitude,
        lon=told.longitude,
        mode=told.mode,
        install=bytes.fromhex(told.install_id),
        head=head,
        tail=tail,
    )


def pack(event: Encoded) -> bytes:
    """One event as it is kept."""
    return _encode(event)


def unpack(body: bytes) -> Encoded:
    """See `pack`."""
    return _decode_one(body)


def pack_chunk(events: Sequence[Encoded]) -> bytes:
    """The events that begin on one UTC day, newest first, as one row."""
    return _encode(list(events))


def unpack_chunk(body: bytes) -> list[Encoded]:
    """See `pack_chunk`."""
    return _decode_many(body)


def pack_labels(labels: Mapping[str, str]) -> bytes:
    """The significance of each place."""
    return _encode(dict(labels))


def unpack_labels(body: bytes) -> dict[str, str]:
    """See `pack_labels`."""
    return _decode_labels(body)

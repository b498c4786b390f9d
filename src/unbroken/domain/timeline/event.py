"""What the fold writes: events that tile the time from a person's first item to the last."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum


class EventType(StrEnum):
    """What a stretch of time was."""

    STATIONARY = "Stationary"
    TRANSPORT = "Transport"
    OFF_THE_GRID = "OffTheGrid"
    UNKNOWN = "Unknown"


class Mode(StrEnum):
    """How a person moved. The wire's whole vocabulary; modes.py says which of them are told apart today."""

    CAR = "car"
    WALKING = "walking"
    BIKING = "biking"
    ESCOOTER = "escooter"
    TRAIN = "train"
    BUS = "bus"
    TRAM = "tram"
    SUBWAY = "subway"
    BOAT = "boat"
    FERRY = "ferry"
    MOTORCYCLE = "motorcycle"
    FLIGHT = "flight"
    RUNNING = "running"
    IDLE = "idle"
    OTHER = "other"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True, slots=True)
class Event:
    """One stretch of a timeline.

    `end_ms` is None only for the last event, which is still open. `lat`, `lon` are the centre of a stay or the start
    of a movement; None only where no fix came yet. `inferred` says that the event rests on silence.
    """

    event_id: str
    type: EventType
    start_ms: int
    end_ms: int | None
    lat: float | None
    lon: float | None
    radius_m: float | None
    place_id: str | None
    mode: Mode | None
    distance_m: int | None
    confidence: float
    inferred: bool
    reason: str | None
    trip_id: str | None
    install: bytes
    activation: bytes
    installs: tuple[bytes, ...]


def event_id(user_id: bytes, kind: str, start_ms: int) -> str:
    """26 base32 characters that replaying the same items always gives again."""
    digest = hashlib.sha256(b"%s|%s|%d" % (user_id, kind.encode(), start_ms)).digest()
    return base64.b32encode(digest)[:26].decode().lower()

"""Instants: times out are ISO 8601, times in are epoch milliseconds or ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated, Final

from msgspec import Meta

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS: Final = 253_402_300_799_999  # the end of the year 9999, the last that ISO 8601 can say

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

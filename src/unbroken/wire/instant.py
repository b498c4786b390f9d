"""Instants: times out are ISO 8601, times in are epoch milliseconds or ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Final

from msgspec import Meta

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS: Final = 253_402_300_799_999  # the end of the year 9999, the last that ISO 8601 can say

Instant = Annotated[int, Meta(ge=0, le=LATEST_MS)]
"""Epoch milliseconds."""


def iso(at_ms: int, zone: tzinfo = UTC) -> str:
    """An instant as replies write it: `2026-11-23T21:12:54.000+00:00`.

    What no calendar can say, after the year 9999 of its zone, is written as the last instant of that year.
    """
    when = EPOCH + timedelta(milliseconds=min(at_ms, LATEST_MS))
    try:
        local = when.astimezone(zone)
    except OverflowError:
        local = datetime.max.replace(tzinfo=zone)
    return local.isoformat(timespec="milliseconds")


def parse_iso(text: str) -> int | None:
    """Epoch milliseconds of an ISO 8601 time with offset or `Z`, or None where `text` is no such thing."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    at_ms = (when - EPOCH) // timedelta(milliseconds=1)
    return at_ms if 0 <= at_ms <= LATEST_MS else None

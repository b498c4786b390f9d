"""Time zones: the one an install reported, as a zone; UTC where it reported none, or none that is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from unbroken import wire


class _Reported(msgspec.Struct):
    device: wire.Device


_REPORTED: Final = msgspec.json.Decoder(_Reported)
"""Made here, and not at the first use: two threads that use a type for the first time at once end the process."""


def zone_of(device: str) -> tzinfo:
    """The zone in what an install reported (`installs.device`)."""
    return _zone(_REPORTED.decode(device).device.time_zone)


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a zone's name, or a path that leads elsewhere
        return UTC


def offset_ms(zone: tzinfo, at_ms: int) -> int:
    """How far local time is ahead of UTC at an instant."""
    offset = (wire.EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).utcoffset()
    return (offset or timedelta()) // timedelta(milliseconds=1)


def day_start_ms(day: datetime) -> int:
    """The instant at which a local day begins."""
    return (day.astimezone(UTC) - wire.EPOCH) // timedelta(milliseconds=1)

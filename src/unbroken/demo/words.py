"""What an event, a span or an outcome is called, on the terminal and on the page. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from unbroken.demo.lanes import at_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACES: Final = {"home": "At home", "work": "At work", "regular": "At a regular place"}
_MODES: Final = {"biking": "By bike", "walking": "On foot", "running": "Running", "car": "By car", "bus": "By bus"}
_TYPES: Final = {"OffTheGrid": "Off the grid", "Unknown": "Unknown"}
OUTCOMES: Final = {
    "accepted": "on the timeline",
    "superseded": "captured after a newer phone took over",
    "standby": "captured while on standby",
    "before_link": "captured before the link",
    "disabled": "captured while disabled",
    "overlaps": "another install was active",
    "too_late": "came too late",
    "bad_clock": "the clock was wrong",
    "before_install": "captured before the install",
}


def event_name(event: Mapping[str, Any]) -> str:
    """What happened, in two or three words."""
    if event["type"] == "Transport":
        mode = str(event.get("mode") or "unknown")
        return _MODES.get(mode, f"By {mode.replace('_', ' ')}")
    if event["type"] == "Stationary":
        significance = (event.get("location") or {}).get("significance")
        return _PLACES.get(str(significance), "At a place")
    return _TYPES.get(event["type"], str(event["type"]))


def event_kind(event: Mapping[str, Any]) -> str:
    """A word for its colour: stay, walking, bus, car, ... or silence."""
    if event["type"] == "Stationary":
        return "stay"
    return str(event.get("mode") or "other") if event["type"] == "Transport" else "silence"


def distance(event: Mapping[str, Any]) -> str:
    """`1.2 km`, `340 m`, or nothing for what has no distance."""
    metres = event.get("distance")
    if event["type"] != "Transport" or metres is None:
        return ""
    return f"{metres / 1000:.1f} km" if metres >= 1000 else f"{metres:.0f} m"


def duration(event: Mapping[str, Any], end_ms: int) -> str:
    """`2 h 05 min`, `7 min`; of an open event until `end_ms`."""
    minutes = round((span(event, end_ms)[1] - span(event, end_ms)[0]) / 60_000)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def span(event: Mapping[str, Any], end_ms: int) -> tuple[int, int]:
    """From and to, epoch milliseconds; an open event goes on until `end_ms`."""
    start_ms = at_ms(event["start"])
    return start_ms, at_ms(event["end"]) if event.get("end") else max(start_ms, end_ms)


def zone_of(name: str) -> tzinfo:
    """The time zone of a name, UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def clock(instant_ms: int, zone: tzinfo) -> str:
    """`07:45`, local."""
    return datetime.fromtimestamp(instant_ms / 1000, zone).strftime("%H:%M")


def date(instant_ms: int, zone: tzinfo) -> str:
    """`Tuesday, 2 June 2026`, local."""
    when = datetime.fromtimestamp(instant_ms / 1000, zone)
    return f"{when:%A}, {when.day} {when:%B %Y}"

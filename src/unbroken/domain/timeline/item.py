"""What the fold reads: one location fix or one activity sample of the operating system, already judged and accepted."""

from __future__ import annotations

from typing import NamedTuple


class Fix(NamedTuple):
    """One accepted location. `acc_m` is the 68 % radius; `speed_mps` is negative or None where the device knew none."""

    at_ms: int
    lat: float
    lon: float
    acc_m: float | None
    speed_mps: float | None
    install: bytes
    activation: bytes


class Motion(NamedTuple):
    """One accepted activity sample; `type` is still, walking, running, cycling, automotive or unknown."""

    at_ms: int
    type: str
    confidence: float | None
    install: bytes
    activation: bytes


Item = Fix | Motion
_NONE = -1.0e300
"""Sorts before every number a device can send."""


def order_key(item: Item) -> tuple[int, int, float, float, float, float, str, bytes, bytes]:
    """A total order that depends on the items alone: capture time, then content, then the install; never arrival."""
    if isinstance(item, Fix):
        numbers = (item.lat, item.lon, _or_none(item.acc_m), _or_none(item.speed_mps))
        return (item.at_ms, 0, *numbers, "", item.install, item.activation)
    return (item.at_ms, 1, _or_none(item.confidence), 0.0, 0.0, 0.0, item.type, item.install, item.activation)


def _or_none(number: float | None) -> float:
    return _NONE if number is None else number

"""Quota: how many calls somebody may make in a day, which is one of UTC: all processes agree when it begins."""

from __future__ import annotations

from typing import Final

from unbroken.domain.payload import DAY_MS

AHEAD_PART: Final = 32
AHEAD_MIN_CALLS: Final = 10


def day_of(now_ms: int) -> int:
    """The number of the day that an instant is in, from 1970-01-01."""
    return now_ms // DAY_MS


def next_day_in_s(now_ms: int) -> int:
    """In how many seconds the next day has begun; at least one."""
    return -(-(DAY_MS - now_ms % DAY_MS) // 1000)


def ahead(quota: int, used: int, *, is_alone: bool) -> int:
    """How many calls a process may let through before it hears again how many all of them did.

    All that is left, where there is no other process. Else a small part of it, or a few calls: so what several let
    through at the same time is more than the quota by that part, or those few, for each of them.
    """
    left = max(0, quota - used)
    return left if is_alone else min(left, max(AHEAD_MIN_CALLS, left // AHEAD_PART))

"""The only module that reads the time. Everything else takes a `Clock` as an argument.

An instant is a whole number of milliseconds since the epoch, UTC, in names that end in `_ms` or `at`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now_ms(self) -> int:
        """The present instant, epoch milliseconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """The present instant, epoch milliseconds."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is moved: for tests, virtual phones and lab mode."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """The instant it was last moved to."""
        return self._now_ms

    def advance_to(self, now_ms: int) -> None:
        """Move forward to `now_ms`; a smaller value is ignored, as time never runs back."""
        self._now_ms = max(self._now_ms, now_ms)

"""How often somebody without a pinned key answered in the platform's place, and when it may be tried again.

Trying often tells whoever intercepts more than it helps: in the background once an hour, and after a day of it no more
until the app asks for something itself, or another process begins.
"""

from __future__ import annotations

from typing import Final

TRIED_EVERY_MS: Final = 3_600_000
TRIES_MAX: Final = 24


class PinWatch:
    """The misses since the platform itself answered last."""

    def __init__(self) -> None:
        self._misses = 0
        self._missed_at_ms = 0

    @property
    def is_mismatch(self) -> bool:
        """Whether the last that answered was not the platform."""
        return self._misses > 0

    def note_miss(self, now_ms: int) -> None:
        """Somebody without a pinned key answered."""
        self._misses += 1
        self._missed_at_ms = now_ms

    def note_platform(self) -> None:
        """The platform answered."""
        self._misses = 0

    def may_try(self, now_ms: int) -> bool:
        """Whether the background may try again; a clock that was turned back lets it."""
        if not self.is_mismatch:
            return True
        is_pause = self._missed_at_ms <= now_ms < self._missed_at_ms + TRIED_EVERY_MS
        return self._misses < TRIES_MAX and not is_pause

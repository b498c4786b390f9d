"""Reckoning: the time that deleting goes by. A clock that jumps does not carry it along at once.

What was deleted by a clock that was a year ahead for an hour does not come back when the clock does. So the clock is
read once an hour, and a reading that lies far from the one before it counts only when the clock has gone on from there
for some days. Until then deleting goes by the earlier of the two times: nothing goes that is not due by both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from unbroken.domain.payload import DAY_MS

JUMP_MS: Final = DAY_MS
"""A clock may be so far from what it said last. Not more: by so much a floor lies before the late window
(`flow/retention.py`), so whatever goes by a clock that is less ahead changes no timeline."""

BELIEVED_AFTER_MS: Final = 3 * DAY_MS
"""How long a clock that has jumped must go on from there: a weekend, in which nobody looks at it, is shorter."""


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What was made of the clock's readings so far; instants.

    Args:
        at_ms: the last reading that counts.
        away_from_ms: the first of the readings that lie far from it, and have gone on from there without a jump.
        away_to_ms: the last of them; both None where the last reading counts.
    """

    at_ms: int
    away_from_ms: int | None = None
    away_to_ms: int | None = None

    @property
    def is_away(self) -> bool:
        """Whether the clock says another time than deleting goes by."""
        return self.away_to_ms is not None

    @property
    def deletes_by_ms(self) -> int:
        """The time that deleting goes by."""
        return self.at_ms if self.away_to_ms is None else min(self.at_ms, self.away_to_ms)

    @property
    def believed_at_ms(self) -> int | None:
        """When the clock will say what counts again, if it goes on as it does; None where its last reading counts."""
        return None if self.away_from_ms is None else self.away_from_ms + BELIEVED_AFTER_MS

    @property
    def _away_for_ms(self) -> int:
        return 0 if self.away_from_ms is None or self.away_to_ms is None else self.away_to_ms - self.away_from_ms

    def read(self, now_ms: int) -> Reckoning:
        """What it is after one more reading of the clock."""
        if self.at_ms - JUMP_MS <= now_ms <= self.at_ms + self._away_for_ms + JUMP_MS:
            return Reckoning(now_ms)  # it went on, or has come back after it was away
        if self.away_from_ms is None or self.away_to_ms is None or not 0 <= now_ms - self.away_to_ms <= JUMP_MS:
            return Reckoning(self.at_ms, now_ms, now_ms)
        if now_ms >= self.away_from_ms + BELIEVED_AFTER_MS:
            return Reckoning(now_ms)
        return Reckoning(self.at_ms, self.away_from_ms, now_ms)

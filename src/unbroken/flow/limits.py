"""Limits: who calls too often is told when to come back, and nobody else is touched.

Kept in memory, as one instant for each key, app, install and address that called lately (`domain/rate.py`). A call
counts against all of its limits, or, where one refuses it, against none: an install that is over its own limit uses up
nothing of its app's. What several processes have allowed they tell each other afterwards (`shared_limits.py`).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain.errors import RateLimited
from unbroken.domain.rate import MINUTE_MS, Limit, Rate, paid_at, wait_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_KNOWN_MAX: Final = 200_000
_GENERATION_MS: Final = 2 * MINUTE_MS
"""Longer than any debt: what was not touched for so long means nothing any more."""

_OWED_MAX_MS: Final = MINUTE_MS
_TELL_PART: Final = 4


class Whose(NamedTuple):
    """One counter: a limit, and the key, app, install or address that it is of."""

    limit: Limit
    who: bytes


class Use:
    """What somebody has used of a limit.

    Attributes:
        paid_at: milliseconds of the process's own count (`domain/rate.py`).
        calls: allowed by this process since it knows this caller.
        told: how many of them the other processes were told of.
    """

    __slots__ = ("calls", "paid_at", "rate", "tell_after", "told", "whose")

    def __init__(self, whose: Whose, rate: Rate) -> None:
        self.whose = whose
        self.rate = rate
        self.paid_at = 0.0
        self.calls = 0
        self.told = 0
        self.tell_after = max(1, rate.burst // _TELL_PART)


class Limits:
    """See the module. Belongs to the event loop.

    Args:
        rates: the limits that are on.
        seconds: counts them, from anywhere, and never back.
        tell: called with the limit of each call that was refused.

    Attributes:
        due: what the other processes should hear of.
    """

    def __init__(
        self,
        rates: Mapping[Limit, Rate],
        *,
        seconds: Callable[[], float] = time.monotonic,
        tell: Callable[[Limit], None] = lambda _: None,
    ) -> None:
        self.due: dict[Whose, Use] = {}
        self._rates = dict(rates)
        self._seconds = seconds
        self._tell = tell
        self._young: dict[Whose, Use] = {}
        self._old: dict[Whose, Use] = {}
        self._turned_ms = self.now_ms()

    def now_ms(self) -> float:
        """The process's own count."""
        return self._seconds() * 1000

    def take(self, counters: Iterable[Whose]) -> None:
        """Count one call against each of `counters`.

        Raises:
            RateLimited: it is one too many for one of them, and counts against none.
        """
        now_ms, taken = self.now_ms(), []
        for whose in counters:
            rate = self._rates.get(whose.limit)
            if rate is None:
                continue
            use = self._use(whose, rate, now_ms)
            after = paid_at(rate, use.paid_at, now_ms)
            wait = wait_ms(rate, after, now_ms)
            if wait > 0:
                self._tell(whose.limit)
                raise _refusal(whose.limit, rate, wait)
            taken.append((use, after))
        for use, after in taken:
            use.paid_at = after
            use.calls += 1
            if use.calls - use.told >= use.tell_after:
                self.due[use.whose] = use

    def charge(self, use: Use, calls: int, since_ms: float) -> None:
        """Others have allowed `calls` of the same caller since then; they count here too, for a minute at most."""
        owed = paid_at(use.rate, use.paid_at, since_ms, calls)
        use.paid_at = min(owed, self.now_ms() + _OWED_MAX_MS)

    def _use(self, whose: Whose, rate: Rate, now_ms: float) -> Use:
        use = self._young.get(whose)
        if use is None:
            if now_ms - self._turned_ms > _GENERATION_MS or len(self._young) >= _KNOWN_MAX:
                self._old, self._young, self._turned_ms = self._young, {}, now_ms
            use = self._young[whose] = self._old.get(whose) or Use(whose, rate)
        return use


def _refusal(limit: Limit, rate: Rate, wait: float) -> RateLimited:
    verb = "are too many" if limit in {Limit.APP_REGISTRATIONS, Limit.ADDRESS_REGISTRATIONS} else "calls too often"
    seconds = math.ceil(wait / 1000)
    return RateLimited(
        f"{limit} {verb}: {rate.per_minute} a minute are allowed.",
        hint=f"Come back in {seconds} s.",
        retry_after_s=seconds,
    )

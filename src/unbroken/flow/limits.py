"""Limits: who calls too often is told when to come back, and nobody else is touched.

Kept in memory, as one instant for each key, app, install and address that called lately (`domain/rate.py`). A call
counts against all of its limits, or, where one refuses it, against none: an install that is over its own limit uses up
nothing of its app's. What several processes have allowed they tell each other afterwards (`shared_limits.py`).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import RateLimited
from unbroken.domain.rate import MINUTE_MS, Limit, Rate, paid_at, wait_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_KNOWN_MAX: Final = 50_000
"""Of one limit, in each of two generations: some 15 MB. Who calls on and on is never among those forgotten early."""

_GENERATION_MS: Final = 2 * MINUTE_MS
"""Or as long as any debt, where that is longer: what was not touched for so long means nothing any more."""

_TELL_PART: Final = 4
_OF_SOME_CALLS: Final = {Limit.KEY_LINKS, Limit.APP_REGISTRATIONS, Limit.ADDRESS_REGISTRATIONS}


Counter = tuple[Limit, bytes]
"""A limit, and the key, app, install or address that it is of."""


class Use:
    """What somebody has used of a limit.

    Attributes:
        paid_at: milliseconds of the process's own count (`domain/rate.py`).
        calls: allowed by this process since it knows this caller.
        told: how many of them the other processes were told of.
    """

    __slots__ = ("calls", "counter", "paid_at", "rate", "tell_after", "told")

    def __init__(self, counter: Counter, rate: Rate) -> None:
        self.counter = counter
        self.rate = rate
        self.paid_at = 0.0
        self.calls = 0
        self.told = 0
        self.tell_after = max(1, rate.burst // _TELL_PART)


class _Callers:
    """Those of one limit who called lately, in two generations: whoever is in the older one alone is soon forgotten."""

    __slots__ = ("generation_ms", "old", "rate", "turned_ms", "young")

    def __init__(self, rate: Rate, now_ms: float) -> None:
        self.rate = rate
        self.generation_ms = max(_GENERATION_MS, rate.owed_max_ms)
        self.young: dict[bytes, Use] = {}
        self.old: dict[bytes, Use] = {}
        self.turned_ms = now_ms

    def meet(self, counter: Counter, now_ms: float) -> Use:
        """Somebody who is not among the young."""
        if now_ms - self.turned_ms > self.generation_ms or len(self.young) >= _KNOWN_MAX:
            self.old, self.young, self.turned_ms = self.young, {}, now_ms
        use = self.young[counter[1]] = self.old.get(counter[1]) or Use(counter, self.rate)
        return use


class Limits:
    """See the module. Belongs to the event loop.

    Args:
        rates: the limits that are on.
        seconds: counts them, from anywhere, and never back.
        tell: called with what refused a call, and whose limit it is.

    Attributes:
        due: what the other processes should hear of.
    """

    def __init__(
        self,
        rates: Mapping[Limit, Rate],
        *,
        seconds: Callable[[], float] = time.monotonic,
        tell: Callable[[Limit, bytes], None] = lambda *_: None,
    ) -> None:
        self.due: dict[Counter, Use] = {}
        self._seconds = seconds
        self._tell = tell
        self._callers = {limit: _Callers(rate, self.now_ms()) for limit, rate in rates.items()}

    def now_ms(self) -> float:
        """The process's own count."""
        return self._seconds() * 1000

    def take(self, counters: Iterable[Counter]) -> None:
        """Count one call against each of `counters`; those whose limit is off count nothing.

        Raises:
            RateLimited: it is one too many for one of them, and counts against none.
        """
        now_ms, taken = self.now_ms(), []
        for counter in counters:
            callers = self._callers.get(counter[0])
            if callers is None:
                continue
            rate, use = callers.rate, callers.young.get(counter[1]) or callers.meet(counter, now_ms)
            after = paid_at(rate, use.paid_at, now_ms)
            wait = wait_ms(rate, after, now_ms)
            if wait > 0:
                self._tell(*counter)
                raise _refusal(counter[0], rate, wait)
            taken.append((use, after))
        for use, after in taken:
            use.paid_at = after
            use.calls += 1
            if use.calls - use.told >= use.tell_after:
                self.due[use.counter] = use

    def charge(self, use: Use, calls: int, since_ms: float) -> None:
        """Others have allowed `calls` of the same caller since then; they count here too, as far as a debt may go."""
        owed = paid_at(use.rate, use.paid_at, since_ms, calls)
        use.paid_at = max(use.paid_at, min(owed, self.now_ms() + use.rate.owed_max_ms))


def _refusal(limit: Limit, rate: Rate, wait: float) -> RateLimited:
    verb = "are too many" if limit in _OF_SOME_CALLS else "calls too often"
    seconds = math.ceil(wait / 1000)
    return RateLimited(
        f"{limit} {verb}: {rate.per_minute} a minute are allowed.",
        hint=f"Come back in {seconds} s.",
        retry_after_s=seconds,
    )

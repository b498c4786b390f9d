"""Quotas: what a key or an app may call in a day, where the operator says so (`domain/quota.py`).

What was let through is counted in the database, so a quota is one for all processes, and holds for one that was started
anew. No call waits for that: a process adds up what it let through, says it within a second once that is a thousandth
of the quota, and within a minute in any case, and hears in turn what all of them did.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import RateLimited
from unbroken.domain.quota import ahead, day_of, next_day_in_s
from unbroken.store import quota_uses
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from unbroken.clock import Clock
    from unbroken.domain.rate import Limit
    from unbroken.flow.limits import Counter
    from unbroken.store.contract import Store

_TELL_PART: Final = 1_000
_TELL_ALL_EVERY: Final = 60
"""In meetings, which are a second apart."""

_SOON_S: Final = 1


class _Use:
    """What one caller has used of today's quota.

    Attributes:
        heard: calls that all processes had let through when this one last heard.
        unsaid: that it has let through since.
        ahead: that it may, before it hears again.
    """

    __slots__ = ("ahead", "heard", "quota", "unsaid")

    def __init__(self, quota: int, heard: int, ahead_calls: int) -> None:
        self.quota = quota
        self.heard = heard
        self.unsaid = 0
        self.ahead = ahead_calls


class Quotas:
    """See the module. Belongs to the event loop.

    Args:
        calls: how many a day, of the limits that are quotas; 12 bytes name whoever has one.
        wall: the system's clock.
        is_alone: no other process lets anybody through.
        tell: called with what refused a call, and whose it was.
    """

    def __init__(
        self,
        calls: Mapping[Limit, int],
        store: Store,
        wall: Clock,
        *,
        is_alone: bool,
        tell: Callable[[Limit, bytes], None] = lambda *_: None,
    ) -> None:
        self._calls = calls
        self._store = store
        self._wall = wall
        self._is_alone = is_alone
        self._tell = tell
        self._day = -1
        self._at_start: dict[bytes, int] = {}
        self._uses: dict[bytes, _Use] = {}
        self._due: set[bytes] = set()
        self._meetings = 0

    async def load(self) -> None:
        """Hear what was used today before this process came; once, before the first call is let through."""
        self._begin_day()
        day = self._day
        self._at_start = await self._store.read(lambda tx: quota_uses.of_day(tx, day))

    def check(self, counters: Iterable[Counter]) -> None:
        """Whether a call of each of `counters` may be let through; it is not counted yet.

        Raises:
            RateLimited: one of them has used up what it may, or waits for what the other processes say.
        """
        if day_of(self._wall.now_ms()) != self._day:
            self._begin_day()
        for limit, who, use in self._uses_of(counters):
            if use.unsaid >= use.ahead:
                self._due.add(who)
                self._tell(limit, who)
                raise self._refusal(limit, use)

    def count(self, counters: Iterable[Counter]) -> None:
        """A call was let through."""
        for _, who, use in self._uses_of(counters):
            use.unsaid += 1
            if use.unsaid * _TELL_PART >= use.quota:
                self._due.add(who)

    async def meet(self) -> None:
        """Say what was let through here, and hear what was everywhere; no statement where nobody called enough."""
        self._meetings += 1
        if self._meetings % _TELL_ALL_EVERY == 0:
            self._due.update(self._uses)
        calls = {who: use.unsaid for who in self._due if (use := self._uses.get(who)) is not None and use.unsaid}
        self._due.clear()
        if calls:
            await self._say(calls)

    async def leave(self) -> None:
        """This process has stopped: what it let through stays counted."""
        self._due.update(self._uses)
        with suppress(StoreUnavailable):
            await self.meet()

    async def _say(self, calls: dict[bytes, int]) -> None:
        day = self._day
        try:
            heard = await self._store.write(lambda tx: quota_uses.add(tx, day, calls))
        except StoreUnavailable:
            self._due.update(calls)
            return
        if day != self._day:
            return  # another day has begun meanwhile
        for who, everywhere in heard.items():
            use = self._uses[who]
            use.heard = everywhere
            use.unsaid -= calls[who]
            use.ahead = ahead(use.quota, everywhere, is_alone=self._is_alone)

    def _uses_of(self, counters: Iterable[Counter]) -> Iterator[tuple[Limit, bytes, _Use]]:
        """Of those that have a quota."""
        for limit, who in counters:
            quota = self._calls.get(limit)
            if quota is not None:
                yield limit, who, self._uses.get(who) or self._meet_caller(who, quota)

    def _meet_caller(self, who: bytes, quota: int) -> _Use:
        heard = self._at_start.get(who, 0)
        use = self._uses[who] = _Use(quota, heard, ahead(quota, heard, is_alone=self._is_alone))
        return use

    def _begin_day(self) -> None:
        self._day = day_of(self._wall.now_ms())
        self._at_start = {}
        self._uses.clear()
        self._due.clear()

    def _refusal(self, limit: Limit, use: _Use) -> RateLimited:
        is_used_up = use.heard + use.unsaid >= use.quota
        seconds = next_day_in_s(self._wall.now_ms()) if is_used_up else _SOON_S
        state = "is used up" if is_used_up else "is nearly used up"
        return RateLimited(
            f"{limit} {state}: {use.quota} calls a day are allowed.",
            hint=f"Come back in {seconds} s." + (" A day begins at 00:00 UTC." if is_used_up else ""),
            retry_after_s=seconds,
        )

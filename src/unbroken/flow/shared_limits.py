"""Shared limits: processes on one database tell each other, once a second, what they have allowed.

No call waits for that. A process counts what it allows by itself; once a caller has used up a part of a burst there, it
writes how often it has let that caller through to its own row, and reads the rows of the others. What they allowed is
a debt here: until it is paid off, the caller waits. So in a second or two each process may allow a rate of its own,
and over any longer time all together allow one. Nothing is written for callers that are far from their limits, which
is nearly all of them, and nothing compares two clocks.

A caller is told of by a keyed hash: no address and no id of a person is written down.
"""

from __future__ import annotations

from contextlib import suppress
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain.rate import MINUTE_MS
from unbroken.store import limit_uses
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.flow.context import Context
    from unbroken.flow.limits import Limits, Use
    from unbroken.store.limit_uses import Said

MEET_EVERY_S: Final = 1.0
_TOLD_MAX: Final = 1_000
_SILENT_MS: Final = MINUTE_MS
_QUIET_MS: Final = 2 * MINUTE_MS


class SharedLimits:
    """See the module.

    Args:
        limits: those of this process.
        holder: the name of this run of this process.
    """

    def __init__(self, context: Context, limits: Limits, holder: str) -> None:
        self._context = context
        self._limits = limits
        self._holder = holder
        self._told: dict[str, tuple[Use, float]] = {}
        self._heard: dict[str, dict[str, int]] = {}
        self._beats: dict[str, tuple[int, float]] = {}
        self._met_ms = limits.now_ms()

    async def meet(self) -> None:
        """Say what was allowed here, and count what was elsewhere; no statement where nobody is near a limit."""
        now_ms = self._limits.now_ms()
        self._note(now_ms)
        if not self._told:
            return
        counts = wire.encode({digest: use.calls for digest, (use, _) in self._told.items()})
        with suppress(StoreUnavailable):
            said = await self._context.store.write(lambda tx: limit_uses.exchange(tx, self._holder, counts))
            self._learn(said)
            self._met_ms = now_ms
            await self._forget_silent(said, now_ms)

    async def leave(self) -> None:
        """This process has stopped."""
        with suppress(StoreUnavailable):
            await self._context.store.write(lambda tx: limit_uses.forget(tx, [self._holder]))

    def _note(self, now_ms: float) -> None:
        """Who is to be told of now: the nearest to their limits, so many at most, and none who has been quiet."""

        def nearness(use: Use) -> float:
            return (use.paid_at - now_ms) / use.rate.ahead_ms

        for use in nlargest(_TOLD_MAX, self._limits.due.values(), nearness):
            digest = self._digest(use)
            self._told.pop(digest, None)
            self._told[digest] = (use, now_ms)
            use.told = use.calls
        self._limits.due.clear()
        quiet = [
            digest
            for digest, (use, at_ms) in self._told.items()
            if at_ms + max(_QUIET_MS, use.rate.owed_max_ms) < now_ms
        ]
        over = len(self._told) - _TOLD_MAX
        far = nsmallest(over, self._told, lambda digest: nearness(self._told[digest][0])) if over > 0 else ()
        for digest in {*quiet, *far}:
            use, _ = self._told.pop(digest)
            use.calls = use.told = 0  # told of again, it begins anew, as for those who listen

    def _learn(self, said: Iterable[Said]) -> None:
        """Charge what others have allowed since the last time; what they had before one knew them is forgiven."""
        heard = {one.holder: wire.decode(one.counts, dict[str, int]) for one in said}
        for holder, counts in heard.items():
            before = self._heard.get(holder)
            if before is None:
                continue
            for digest in counts.keys() & self._told.keys():
                known = before.get(digest, 0)
                fresh = counts[digest] - (known if known <= counts[digest] else 0)
                if fresh:
                    self._limits.charge(self._told[digest][0], fresh, self._met_ms)
        self._heard = heard

    async def _forget_silent(self, said: Iterable[Said], now_ms: float) -> None:
        """Rows of processes that were killed; by their beats, as no two clocks agree."""
        beats = {}
        for one in said:
            known = self._beats.get(one.holder)
            beats[one.holder] = known if known is not None and known[0] == one.beats else (one.beats, now_ms)
        self._beats = beats
        silent = [holder for holder, (_, at_ms) in beats.items() if at_ms + _SILENT_MS < now_ms]
        if silent:
            await self._context.store.write(lambda tx: limit_uses.forget(tx, silent))

    def _digest(self, use: Use) -> str:
        limit, who = use.counter
        return self._context.vault.tombstone(b"limit" + limit.name.encode() + b"\0" + who)[:16].hex()

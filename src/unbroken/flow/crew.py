"""Crew: how the workers of one platform share the work out, without anybody who tells them.

Each says every second that it is alive, and learns who else is. Of a piece of work, a partition or a timeline,
each then knows by itself whose it is: the same on all, and when one comes or goes only its own pieces change hands.
For a moment two may think otherwise; what they then write is refused to one of them, by the partition's epoch or the
timeline's version.

No clock is compared with another's: alive is whose beats go on, by one's own count of seconds. A host whose time
jumps by an hour changes nothing.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from unbroken.store import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.flow.context import Context

BEAT_S: Final = 1.0
SILENT_S: Final = 4.0
"""How long a worker that was killed still counts. Its work rests as long, and up to two beats: until the last one is
noticed, and until its absence is."""


class Crew:
    """See the module.

    Args:
        holder: the name of one run of one worker.
        is_alone: no other process may work on the same log.
        seconds: counts them, from anywhere.
    """

    def __init__(self, context: Context, holder: str, *, is_alone: bool, seconds: Callable[[], float]) -> None:
        self.members: Sequence[str] = [holder]
        self._context = context
        self._holder = holder
        self._is_alone = is_alone
        self._seconds = seconds
        self._heard: dict[str, tuple[int, float]] = {}
        self._met_s = float("-inf")

    async def meet(self) -> None:
        """Say that this worker is alive, and learn who else is, if it is time again."""
        now_s = self._seconds()
        if self._is_alone or now_s < self._met_s + BEAT_S:
            return
        beats = await self._context.store.write(lambda tx: workers.beat(tx, self._holder))
        self._met_s = now_s
        heard = {holder: self._last(holder, count, now_s) for holder, count in beats.items()}
        heard[self._holder] = (beats[self._holder], now_s)  # it may have left and begun to count anew
        silent = [holder for holder, (_, at_s) in heard.items() if at_s + SILENT_S <= now_s]
        if silent:
            await self._context.store.write(lambda tx: workers.forget(tx, silent))
        self._heard = {holder: last for holder, last in heard.items() if holder not in silent}
        self.members = sorted(self._heard)

    def has(self, work: bytes) -> bool:
        """Whether a piece of work is this worker's."""
        return owner(self.members, work) == self._holder

    async def leave(self) -> None:
        """Let the others have its work at once."""
        if not self._is_alone:
            await self._context.store.write(lambda tx: workers.forget(tx, [self._holder]))
            self._met_s = float("-inf")

    def _last(self, holder: str, count: int, now_s: float) -> tuple[int, float]:
        """The last beat that was noticed of a worker, and when."""
        known = self._heard.get(holder)
        return known if known is not None and known[0] == count else (count, now_s)


def owner(members: Sequence[str], work: bytes) -> str:
    """Whose a piece of work is: the one of `members` that it is worth most to, by a hash."""
    if len(members) == 1:
        return members[0]
    return max(members, key=lambda member: blake2b(work, key=member.encode(), digest_size=8).digest())


def loop_s() -> float:
    """The seconds that the event loop counts."""
    return asyncio.get_running_loop().time()

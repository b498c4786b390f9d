"""Process: what was taken becomes payloads, then timelines. One worker, the same on every engine.

Two steps, each with its effect in one transaction. Taking reads the payload log behind the cursor, keeps each upload
under its install, marks the timeline of whoever that install belongs to as due, and moves the cursor: at least once in,
exactly once in effect. Computing brings a timeline that is due up to date (`timeline.py`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unbroken.flow.crew import BEAT_S, Crew, loop_s
from unbroken.flow.retention import retain
from unbroken.flow.setting_aside import set_aside
from unbroken.flow.take import Taker
from unbroken.flow.tidy import tidy
from unbroken.flow.timeline import compute
from unbroken.store import due_timelines
from unbroken.store import set_aside as aside
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.domain.ids import UserId
    from unbroken.domain.reckoning import Reckoning
    from unbroken.flow.context import Context
    from unbroken.store.dead_letters import DeadLetter
    from unbroken.store.due_timelines import Due

_AT_ONCE: Final = 8
"""Partitions taken, and timelines computed, in a step: they share a commit."""
_AT_ONCE_WHEN_BUSY: Final = 1
"""Whoever calls during a step waits for its end: a short one, and what it costs more is the worker's own time."""
_LOOKED_AT_ONCE: Final = 128
_BUSY_S: Final = 0.000_5
"""A turn of the loop that takes longer has others to serve."""
_MANY: Final = 4
"""More uploads than that wait to be stored, while the database and not the loop has the work."""
_SHARE_WHEN_BUSY: Final = 19
"""One part of twenty is the worker's then."""
_PAUSE_MAX_S: Final = 5.0
_TIDIED_EVERY_S: Final = 3_600.0


class Worker:
    """See the module. Belongs to the event loop; `run` and `settle` may go on side by side.

    Args:
        is_alone: no other process may work on the same log.
        answers_calls: callers are answered by the same event loop, and go before the work.
        tell: called with whose timeline cannot be computed, and why; once until it could be, or a process begins.
        tell_dead: called with every upload that is set aside.
        tell_clock: called once an hour while the clock is not believed, with what deleting goes by meanwhile.
        seconds: counts them, from anywhere; the event loop's if left out.

    Attributes:
        holder: its name among the workers; another in every run.
        failures: how often a timeline could not be computed.
        dead: how many uploads were set aside.
        time: what deleting goes by, as the clock was read last; None where another worker reads it.
    """

    def __init__(
        self,
        context: Context,
        *,
        is_alone: bool = True,
        answers_calls: bool = True,
        tell: Callable[[UserId, Exception], None] | None = None,
        tell_dead: Callable[[DeadLetter], None] | None = None,
        tell_clock: Callable[[Reckoning], None] | None = None,
        seconds: Callable[[], float] = loop_s,
    ) -> None:
        self.failures = 0
        self.dead = 0
        self.time: Reckoning | None = None
        self._context = context.behind()
        self._answers_calls = answers_calls
        self._tell = tell
        self._tell_dead = tell_dead
        self._tell_clock = tell_clock
        self.holder = context.randomness.secret(8).hex()
        self._crew = Crew(context, self.holder, is_alone=is_alone, seconds=seconds)
        self._taker = Taker(self._context, self._crew, self.holder, tell=self._count_dead)
        self._at_once = _AT_ONCE
        self._seconds = seconds
        self._tidied_s = float("-inf")
        self._looked_until = b""
        self._retaining: asyncio.Task[object] | None = None
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped; what cannot be stored now is tried again, and what was set aside once more."""
        if self._stopping.is_set():  # it failed, and was told to end before it was started again
            return
        await self._context.store.write(aside.release_all)
        try:
            while not self._stopping.is_set():
                began_s = loop_s()
                if await self._step():
                    await self._give_way(loop_s() - began_s)
                else:
                    await self._rest()
                await self._tidy()
        finally:
            await self._end_retaining()
            await self._leave()

    def stop(self) -> None:
        """Let `run` end after the step it is in."""
        self._stopping.set()

    async def settle(self) -> None:
        """Return when everything acknowledged so far has been processed."""
        while await self._step():
            pass

    async def _give_way(self, took_s: float) -> None:
        """Whoever calls goes first: after a step of `took_s`, pause the longer the more waits on the loop.

        What was acknowledged is safe in the log; how soon it is processed can wait, an upload cannot. On a loop that
        has nothing else to do there is no pause; where nobody calls, a slow turn says that the machine is busy, and
        a pause would only let the work pile up.
        """
        asked_s = loop_s()
        await asyncio.sleep(0)
        is_busy = loop_s() - asked_s > _BUSY_S or self._context.log.unanswered > _MANY
        gives_way = self._answers_calls and is_busy
        self._at_once = _AT_ONCE_WHEN_BUSY if gives_way else _AT_ONCE
        if gives_way:
            await self._pause(min(took_s * _SHARE_WHEN_BUSY, _PAUSE_MAX_S))

    async def _pause(self, for_s: float) -> None:
        """Rest, and go on saying that this worker is alive."""
        until_s = loop_s() + for_s
        while (left_s := until_s - loop_s()) > 0 and not self._stopping.is_set():
            await asyncio.sleep(min(left_s, BEAT_S))
            await self._crew.meet()

    async def _rest(self) -> None:
        """Until something was appended here, or left to do anywhere."""
        wanted = (self._context.log.wait(), self._context.store.woken(), self._stopping.wait())
        waits = [asyncio.ensure_future(wait) for wait in wanted]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with suppress(asyncio.CancelledError):
                await wait

    async def _tidy(self) -> None:
        """Once an hour, let go of what nobody can ask for any more; of payloads beside the work, as it takes long."""
        if self._retaining is not None and self._retaining.done():
            done, self._retaining = self._retaining, None
            await done
        await self._context.log.trim()
        now_s = self._seconds()  # no clock's: one that is set back would put it off by as much
        if not self._crew.has(b"tidy"):
            self.time = None
        elif now_s >= self._tidied_s + _TIDIED_EVERY_S:
            self._tidied_s = now_s
            self.time = await tidy(self._context)
            if self.time.is_away and self._tell_clock is not None:
                self._tell_clock(self.time)
            by_ms = self.time.deletes_by_ms
            self._retaining = self._retaining or asyncio.create_task(retain(self._context, by_ms=by_ms))

    async def _end_retaining(self) -> None:
        if self._retaining is not None:
            self._retaining.cancel()
            await asyncio.gather(self._retaining, return_exceptions=True)
            self._retaining = None

    async def _leave(self) -> None:
        """Another may go on at once, instead of when the lease ends."""
        with suppress(StoreUnavailable):
            await self._taker.give_back()
            await self._crew.leave()

    def _count_dead(self, letter: DeadLetter) -> None:
        self.dead += 1
        if self._tell_dead is not None:
            self._tell_dead(letter)

    async def _step(self) -> bool:
        """Some work, if there is any; whether there was."""
        async with self._turn:
            await self._crew.meet()
            took = await self._taker.step(self._at_once)
            computed = await self._compute()
        return took or computed

    # Computing

    async def _compute(self) -> bool:
        marked = await self._due()
        await asyncio.gather(*map(self._compute_one, marked))  # their writes share a commit
        return bool(marked)

    async def _due(self) -> list[Due]:
        """Some of our timelines that are due, in turn: none waits behind those of others, however many they are."""
        began = self._looked_until
        while True:
            page = await self._page()
            ours = [due for due in page if self._crew.has(due.user_id)][: self._at_once]
            self._looked_until = _until(page, ours, self._at_once)
            if ours or not (self._looked_until or began):
                return ours
            if not self._looked_until:
                began = b""  # once round, to where it began

    async def _page(self) -> list[Due]:
        now_ms, after = self._context.wall.now_ms(), self._looked_until
        return await self._context.store.read(lambda tx: due_timelines.due(tx, now_ms, after, _LOOKED_AT_ONCE))

    async def _compute_one(self, due: Due) -> None:
        """Compute a timeline; one that fails must not keep all others waiting."""
        try:
            await compute(self._context, due)
        except StoreUnavailable:
            raise  # it is nobody's own: the same may go well in a moment
        except Exception as error:  # noqa: BLE001 - damaged data fails in any way
            self.failures += 1
            if await set_aside(self._context, due, error) and self._tell is not None:
                self._tell(due.user_id, error)


def _until(page: Sequence[Due], ours: Sequence[Due], at_once: int) -> bytes:
    """Behind whom the next look begins; b"" after the last one."""
    if len(ours) == at_once:
        return ours[-1].user_id
    return page[-1].user_id if len(page) == _LOOKED_AT_ONCE else b""

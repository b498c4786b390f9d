"""Grouped writes: the calls that wait are run one after the other in one transaction, committed once, then all woken.

One group is in flight; what is asked meanwhile gathers, so groups are as large as the server is slow, and nothing
waits for a timer. Every group holds one lock of the whole database, so the calls of all processes take effect one
after the other, and numbers that the database counts up become visible in their order (docs/decisions/0015).

A call that has waited too long for its turn is told so and not run: behind a COMMIT that a standby does not confirm,
nobody hangs for ever.

A group runs without savepoints first, and those of its calls side by side that say what they hold (`beside`). Only
where a call fails that has written something, or meets another one too late, the group is rolled back and run again
more carefully; where others stood in the way, again as it is, then each call alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from unbroken.store.contract import StoreUnavailable
from unbroken.store.postgres.audit import AuditEnd
from unbroken.store.postgres.commit import Unsure, commit
from unbroken.store.postgres.connection import Limits
from unbroken.store.postgres.group import Again, Care, Job, Refused, caused, named, run
from unbroken.store.postgres.primary import takes_writes
from unbroken.store.postgres.transaction import Outcome
from unbroken.store.postgres.trouble import is_lost, may_pass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from unbroken.store.contract import Call
    from unbroken.store.postgres.group import Told

T = TypeVar("T")

GROUP_MAX: Final = 256
"""Calls in one commit: more save nothing and make the first of them wait."""

WAITING_MAX: Final = 4096
"""Calls that wait, and as many that can; who comes on top is told at once, before memory grows."""

PASSED_MAX: Final = 4
"""Groups that may pass by work that can wait."""

TRIES: Final = 3
"""How often a group is run before its calls are run alone, and how often a call alone."""

_GOODBYE_S: Final = 2.0
_LOCK_CLASS: Final = 0x756E6272
LOCK: Final = f"SELECT pg_advisory_xact_lock({_LOCK_CLASS}, hashtext(current_schema()))"
"""One for all who write to the tables of one schema; it goes with the transaction."""

BEGIN: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {LOCK}"
_UNKNOWN: Final = (
    "It is not known whether this was made durable ({why}): ask, or try again with the same Idempotency-Key."
)
_FENCED: Final = "The server is set to only read. Name the primary, or wait until it is one."
_LATE: Final = "The database is busy, or a standby of it does not answer: this was not stored. Try again."
_CROWDED: Final = "Too many calls wait for the database: this was not stored. Try again."


class Writer:
    """Calls in, durable answers out. All methods belong to the event loop.

    Args:
        connect: opens a connection; raises StoreUnavailable.
        ring: called when a group is durable that left something to do.
        limits: how long a call waits for its turn, and for the disk and the standbys.

    Attributes:
        again: how many groups were run again with more care.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Any]], *, ring: Callable[[], None], limits: Limits | None = None
    ) -> None:
        self._connect = connect
        self._ring = ring
        self._limits = limits or Limits()
        self._connection: Any = None
        self._audit = AuditEnd()
        self.again = 0
        self._jobs: deque[Job] = deque()
        self._behind: deque[Job] = deque()
        self._passed = 0
        self._working: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def write(self, call: Call[T], *, behind: bool = False) -> T:
        """See `Store.write`, and `Store.behind`."""
        if self._is_stopping:
            raise StoreUnavailable("The store is closed.")
        queue = self._behind if behind else self._jobs
        if len(queue) >= WAITING_MAX:
            raise StoreUnavailable(_CROWDED)
        if self._working is None:
            self._working = asyncio.create_task(self._work())  # does not begin before this suspends
        loop = self._working.get_loop()
        answer: asyncio.Future[T] = loop.create_future()
        late = loop.call_later(self._limits.turn_s, _refuse_late, answer)
        queue.append(Job(call, answer, late))
        try:
            return await answer
        except GeneratorExit:  # written from within a call, which is refused: the waiter goes, its job must not run
            answer.cancel()
            raise
        finally:
            late.cancel()

    async def stop(self) -> None:
        """Finish the calls that wait, then close the connection."""
        self._is_stopping = True
        while self._working is not None:
            await asyncio.wait([self._working])
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    async def _work(self) -> None:
        """Until nothing waits."""
        try:
            while self._jobs or self._behind:
                group = self._next()
                try:
                    told = await self._run(group)
                    _wake(told)
                    if any(outcome.wakes and outcome.error is None for _, outcome in told):
                        self._ring()
                except BaseException:
                    self._jobs.extendleft(reversed(group))
                    raise
        finally:
            self._working = None
            stopped = StoreUnavailable("The platform is stopping; this was perhaps not stored. Ask, or try again.")
            _wake(_all([*self._jobs, *self._behind], stopped))
            self._jobs.clear()
            self._behind.clear()

    def _next(self) -> list[Job]:
        """The calls of a group: those that somebody waits for, and those that can wait in one of their own."""
        is_theirs = bool(self._behind) and (not self._jobs or self._passed >= PASSED_MAX)
        self._passed = 0 if is_theirs or not self._behind else self._passed + 1
        queue = self._behind if is_theirs else self._jobs
        return [queue.popleft() for _ in range(min(GROUP_MAX, len(queue)))]

    async def _run(self, jobs: Sequence[Job]) -> Told:
        """Run and commit; whatever happens, each call that still has a waiter gets an outcome."""
        try:
            return await self._together(jobs)
        except Refused as refused:
            return await self._alone(jobs) if len(jobs) > 1 and refused.is_of_one else _all(jobs, refused.error)

    async def _alone(self, jobs: Sequence[Job]) -> Told:
        """What cannot be done together is done one by one, until the server is out of reach: that is nobody's fault."""
        told: Told = []
        for place, job in enumerate(jobs):
            try:
                told += await self._together([job])
            except Refused as refused:
                if refused.is_away:
                    return told + _all(jobs[place:], refused.error)
                told += _all([job], refused.error)
        return told

    async def _together(self, jobs: Sequence[Job]) -> Told:
        """In one transaction, a few times where it may pass the next time."""
        care = Care.SIDE_BY_SIDE if len(jobs) > 1 else Care.ONE_BY_ONE
        tries = 0
        while True:
            try:
                return await self._attempt(jobs, care)
            except Again as again:
                care = again.care
                self.again += 1
            except Refused as refused:
                tries += 1
                if not refused.may_pass or tries >= TRIES:
                    raise

    async def _attempt(self, jobs: Sequence[Job], care: Care) -> Told:
        connection = await self._begin()
        try:
            told = await run(connection, jobs, care)
            if told:
                has_noted = await self._audit.append(connection, [one for _, outcome in told for one in outcome.noted])
                has_written = has_noted or any(outcome.has_written for _, outcome in told)
                await self._commit(connection, has_written=has_written)
                self._audit.settle()
            else:  # all who waited are gone
                await self._roll_back()
        except BaseException:
            await self._roll_back()
            raise
        return told

    async def _begin(self) -> Any:
        """A connection on which a transaction has begun that holds the lock."""
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._connect()
            except StoreUnavailable as error:
                raise Refused(error, may_pass=False, is_away=True) from None
        try:
            await self._connection.execute(BEGIN)
        except Exception as error:  # noqa: BLE001 - named for the waiters
            if is_lost(error):
                self._connection.terminate()  # it may yet begin
            await self._roll_back()
            # one that was idle when the server was started again is found out only now
            raise Refused(named(error), may_pass=is_lost(error), is_away=True) from None
        if not takes_writes(self._connection):  # it was set to only read, and says so with the answer
            self._connection.terminate()
            raise Refused(StoreUnavailable(_FENCED), may_pass=True, is_away=True)
        return self._connection

    async def _commit(self, connection: Any, *, has_written: bool) -> None:
        try:
            done = await commit(connection, has_written=has_written, limit_s=self._limits.commit_s)
        except Exception as error:  # noqa: BLE001 - named for the waiters
            if isinstance(error, Unsure) or is_lost(error):
                unknown = StoreUnavailable(_UNKNOWN.format(why=error))
                raise Refused(caused(unknown, error), may_pass=False) from None
            raise Refused(named(error), may_pass=may_pass(error), is_of_one=True) from None
        if done != "COMMIT":  # a failed transaction is rolled back by COMMIT, without a word
            raise Refused(StoreUnavailable("The database took everything back."), may_pass=True, is_of_one=True)

    async def _roll_back(self) -> None:
        """No transaction is left open; a connection on which that cannot be said is dropped."""
        connection = self._connection
        if connection is not None and not await is_idle_again(connection):
            self._connection = None


def _all(jobs: Iterable[Job], error: BaseException) -> Told:
    """An exception of its own for each waiter: raised in several places, one would gather all their tracebacks."""
    if not isinstance(error, StoreUnavailable):
        return [(job.waiter, Outcome(None, error)) for job in jobs]
    return [(job.waiter, Outcome(None, caused(StoreUnavailable(*error.args), error.__cause__))) for job in jobs]


def _refuse_late(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(StoreUnavailable(_LATE))


def _wake(told: Told) -> None:
    """One that was cancelled after the turn of its call is gone, the effect stands."""
    for waiter, outcome in told:
        if waiter.done():
            continue
        if outcome.error is None:
            waiter.set_result(outcome.answer)
        else:
            waiter.set_exception(outcome.error)


async def is_idle_again(connection: Any) -> bool:
    """End the transaction that is open, if one is; False where the connection is of no more use, and was dropped."""
    try:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute("ROLLBACK", timeout=_GOODBYE_S)
        if not connection.is_closed():
            return True
    except Exception:  # noqa: BLE001, S110 - whatever it is, what remains is to drop it
        pass
    connection.terminate()
    return False


async def close(connection: Any) -> None:
    """Say goodbye to the server, but not for long."""
    with suppress(Exception):
        await connection.close(timeout=_GOODBYE_S)
    connection.terminate()

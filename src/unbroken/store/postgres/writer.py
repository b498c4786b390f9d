"""Grouped writes: the calls that wait are run one after the other in one transaction, committed once, then all woken.

One group is in flight; what is asked meanwhile gathers, so groups are as large as the server is slow, and nothing
waits for a timer. Every group holds one lock of the whole database, so the calls of all processes take effect one
after the other, and numbers that the database counts up become visible in their order (docs/decisions/0015).

A group runs without savepoints first. Only where a call fails that has written something, the group is rolled back and
run again with a savepoint for each call; where others stood in the way, again as it is, then each call alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from unbroken.store.contract import Call, StoreUnavailable
from unbroken.store.postgres.transaction import Outcome, PostgresTransaction
from unbroken.store.postgres.trouble import is_conflict, is_lost, may_pass, trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

T = TypeVar("T")

GROUP_MAX: Final = 256
"""Calls in one commit: more save nothing and make the first of them wait."""

TRIES: Final = 3
"""How often a group is run before its calls are run alone, and how often a call alone."""

_GOODBYE_S: Final = 2.0
_LOCK_CLASS: Final = 0x756E6272
LOCK: Final = f"SELECT pg_advisory_xact_lock({_LOCK_CLASS}, hashtext(current_schema()))"
"""One for all who write to the tables of one schema; it goes with the transaction."""

BEGIN: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {LOCK}"
_UNKNOWN: Final = (
    "The connection to the database was lost while a change was being made durable ({error}). It is not known whether"
    " it was: ask, or try again with the same Idempotency-Key."
)

_Job: TypeAlias = "tuple[Call[Any], asyncio.Future[Any]]"
_Told: TypeAlias = "list[tuple[asyncio.Future[Any], Outcome[Any]]]"


class Writer:
    """Calls in, durable answers out. All methods belong to the event loop.

    Args:
        connect: opens a connection; raises StoreUnavailable.
        ring: called when a group is durable that left something to do.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], ring: Callable[[], None]) -> None:
        self._connect = connect
        self._ring = ring
        self._connection: Any = None
        self._jobs: deque[_Job] = deque()
        self._working: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def write(self, call: Call[T]) -> T:
        """See `Store.write`."""
        if self._is_stopping:
            raise StoreUnavailable("The store is closed.")
        if self._working is None:
            self._working = asyncio.create_task(self._work())  # does not begin before this suspends
        answer: asyncio.Future[T] = self._working.get_loop().create_future()
        self._jobs.append((call, answer))
        try:
            return await answer
        except GeneratorExit:  # written from within a call, which is refused: the waiter goes, its job must not run
            answer.cancel()
            raise

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
            while self._jobs:
                group = [self._jobs.popleft() for _ in range(min(GROUP_MAX, len(self._jobs)))]
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
            _wake(_all(self._jobs, stopped))
            self._jobs.clear()

    async def _run(self, jobs: Sequence[_Job]) -> _Told:
        """Run and commit; whatever happens, each call that still has a waiter gets an outcome."""
        try:
            return await self._together(jobs)
        except _Refused as refused:
            return await self._alone(jobs) if len(jobs) > 1 and refused.is_of_one else _all(jobs, refused.error)

    async def _alone(self, jobs: Sequence[_Job]) -> _Told:
        """What cannot be done together is done one by one, until the server is out of reach: that is nobody's fault."""
        told: _Told = []
        for place, job in enumerate(jobs):
            try:
                told += await self._together([job])
            except _Refused as refused:
                if refused.is_away:
                    return told + _all(jobs[place:], refused.error)
                told += _all([job], refused.error)
        return told

    async def _together(self, jobs: Sequence[_Job]) -> _Told:
        """In one transaction, a few times where it may pass the next time."""
        with_savepoints = False
        tries = 0
        while True:
            try:
                return await self._attempt(jobs, with_savepoints=with_savepoints)
            except _Again:
                with_savepoints = True
            except _Refused as refused:
                tries += 1
                if not refused.may_pass or tries >= TRIES:
                    raise

    async def _attempt(self, jobs: Sequence[_Job], *, with_savepoints: bool) -> _Told:
        connection = await self._begin()
        try:
            told = await self._calls(connection, jobs, with_savepoints=with_savepoints)
            await self._commit(connection)
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
                raise _Refused(error, may_pass=False, is_away=True) from None
        try:
            await self._connection.execute(BEGIN)
        except Exception as error:  # noqa: BLE001 - named for the waiters
            await self._roll_back()
            # one that was idle when the server was started again is found out only now
            raise _Refused(_named(error), may_pass=is_lost(error), is_away=True) from None
        return self._connection

    async def _calls(self, connection: Any, jobs: Sequence[_Job], *, with_savepoints: bool) -> _Told:
        told: _Told = []
        for call, waiter in jobs:
            if waiter.cancelled():
                continue
            if with_savepoints:
                await _execute(connection, "SAVEPOINT call")
            transaction = PostgresTransaction(connection)
            outcome = await transaction.run_call(call)
            told.append((waiter, outcome))
            if transaction.cause is not None and (is_lost(transaction.cause) or is_conflict(transaction.cause)):
                raise _Refused(_named(transaction.cause), may_pass=may_pass(transaction.cause), is_of_one=True)
            if outcome.error is not None and not transaction.is_clean:
                if len(jobs) == 1:
                    raise _Refused(outcome.error, may_pass=False, is_of_one=True)
                if not with_savepoints:
                    raise _Again
                await _execute(connection, "ROLLBACK TO call")
            if with_savepoints:
                await _execute(connection, "RELEASE call")
        return told

    async def _commit(self, connection: Any) -> None:
        try:
            done = await connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - named for the waiters
            if is_lost(error):
                unknown = StoreUnavailable(_UNKNOWN.format(error=error))
                raise _Refused(_caused(unknown, error), may_pass=False) from None
            raise _Refused(_named(error), may_pass=may_pass(error), is_of_one=True) from None
        if done != "COMMIT":  # a failed transaction is rolled back by COMMIT, without a word
            raise _Refused(StoreUnavailable("The database took everything back."), may_pass=True, is_of_one=True)

    async def _roll_back(self) -> None:
        """No transaction is left open; a connection on which that cannot be said is dropped."""
        connection = self._connection
        if connection is not None and not await is_idle_again(connection):
            self._connection = None


class _Again(Exception):
    """A call failed that had written something, in a group without savepoints."""


class _Refused(Exception):
    """Nothing of a transaction stays, or nobody knows.

    Args:
        error: what to tell the waiters.
        may_pass: the same may succeed when it is tried again at once.
        is_of_one: one of the calls may be the cause of it, so that the others would succeed without it.
        is_away: no transaction could be begun at all.
    """

    def __init__(self, error: BaseException, *, may_pass: bool, is_of_one: bool = False, is_away: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.may_pass = may_pass
        self.is_of_one = is_of_one
        self.is_away = is_away


async def _execute(connection: Any, statement: str) -> None:
    try:
        await connection.execute(statement)
    except Exception as error:  # noqa: BLE001 - named for the waiters
        raise _Refused(_named(error), may_pass=may_pass(error), is_of_one=True) from None


def _named(error: Exception) -> Exception:
    return _caused(trouble(error), error)


def _caused(error: Exception, cause: BaseException | None) -> Exception:
    if error is not cause:
        error.__cause__ = cause
    return error


def _all(jobs: Iterable[_Job], error: BaseException) -> _Told:
    """An exception of its own for each waiter: raised in several places, one would gather all their tracebacks."""
    if not isinstance(error, StoreUnavailable):
        return [(waiter, Outcome(None, error)) for _, waiter in jobs]
    return [(waiter, Outcome(None, _caused(StoreUnavailable(*error.args), error.__cause__))) for _, waiter in jobs]


def _wake(told: _Told) -> None:
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

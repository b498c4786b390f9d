"""The thread that owns the write connection: it takes the calls that wait, commits them together, then wakes all.

One sync for many, and no answer before it. No transaction stays open while nobody waits, so another process (the
command line) can write to the same file. Each call has a savepoint of its own and loses only that.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from unbroken.store import audit
from unbroken.store.contract import Call, StoreUnavailable
from unbroken.store.sql import positional
from unbroken.store.sqlite.connection import trouble
from unbroken.store.sqlite.transaction import SqliteTransaction
from unbroken.store.sqlite.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from unbroken.store.audit import Noted

T = TypeVar("T")

GROUP_MAX: Final = 256
"""Calls in one commit: more save nothing and make the first of them wait."""


@dataclass(frozen=True, slots=True)
class _Outside:
    """Work on the connection itself, between two groups: no transaction is open."""

    work: Callable[[sqlite3.Connection], Any]


_Job: TypeAlias = tuple["Call[Any] | _Outside", "asyncio.Future[Any]"]
_Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Writer:
    """Calls in, durable answers out. All methods belong to the event loop that started it.

    Args:
        connect: opens the write connection; runs in the thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._stopping = False
        # a daemon, so that a program which forgets to close the store can still end
        self._thread = threading.Thread(target=self._work, name="unbroken-writer", daemon=True)

    async def start(self) -> None:
        """Return when the connection is open; raise what kept it from opening."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            self._jobs.put(None)  # cancelled: what opens now must close again
            raise

    async def write(self, call: Call[T]) -> T:
        """See `Store.write`."""
        return await self._put(call)

    async def _put(self, job: Call[T] | _Outside) -> T:
        if self._stopping:
            raise StoreUnavailable("The store is closed.")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((job, answer))
        try:
            return await answer
        except GeneratorExit:  # written from within a call, which is refused: the waiter goes, its job must not run
            answer.cancel()
            raise

    async def outside(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the thread, outside every transaction, when its turn comes."""
        return await self._put(_Outside(work))

    async def stop(self) -> None:
        """Finish the calls that wait, then close the connection."""
        if not self._stopping:
            self._stopping = True
            self._jobs.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # what follows runs in the thread

    def _work(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - it is raised where `start` waits
            self._tell(_settle, [(self._opened, None, error)])
            return
        self._tell(_settle, [(self._opened, None, None)])
        cursor = connection.cursor()
        turn = Turn(connection)
        try:
            while jobs := self._waiting():
                for is_outside, some in groupby(jobs, key=lambda job: isinstance(job[0], _Outside)):
                    alike = list(some)
                    self._tell(_settle, _outside(turn, alike) if is_outside else _Group(cursor, turn, alike).run())
        finally:
            cursor.close()  # a statement that an error still holds on to would keep the file open
            connection.close()
            self._tell(_settle, [(self._ended, None, None)])

    def _waiting(self) -> list[_Job]:
        """The calls that wait, at least one; none when the writer is to stop."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == GROUP_MAX or self._jobs.empty():
                return jobs
            job = self._jobs.get()
        if jobs:
            self._jobs.put(None)  # nothing comes after it: first these, then the end
        return jobs

    def _tell(self, callback: Callable[[Sequence[_Outcome]], None], outcomes: Sequence[_Outcome]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, outcomes)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Wake the waiters; in the loop. One that was cancelled after the turn of its call is gone, the effect stands."""
    for waiter, answer, error in outcomes:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(answer)
        else:
            waiter.set_exception(error)


def _outside(turn: Turn, jobs: Iterable[_Job]) -> list[_Outcome]:
    outcomes: list[_Outcome] = []
    for job, waiter in jobs:
        assert isinstance(job, _Outside)
        if waiter.cancelled():
            continue
        try:
            with turn.by_sqlite() as connection:
                outcomes.append((waiter, job.work(connection), None))
        except BaseException as error:  # noqa: BLE001 - the waiter gets it
            told = _caused(trouble(error), error) if isinstance(error, sqlite3.Error) else error
            outcomes.append((waiter, None, told))
    return outcomes


class _Group:
    """Calls that share one transaction."""

    def __init__(self, cursor: sqlite3.Cursor, turn: Turn, jobs: Sequence[_Job]) -> None:
        self._cursor = cursor
        self._turn = turn
        self._connection = cursor.connection
        self._jobs = jobs
        self._noted: list[Noted] = []

    def run(self) -> list[_Outcome]:
        """Run and commit; whatever happens, each job has an outcome and no transaction is left open."""
        try:
            return self._together() if len(self._jobs) > 1 else self._alone()
        except BaseException as error:  # noqa: BLE001 - every waiter gets it
            return self._lost(error)
        finally:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._cursor.execute("ROLLBACK")

    def _calls(self) -> list[tuple[Call[Any], asyncio.Future[Any]]]:
        return [(job, waiter) for job, waiter in self._jobs if not isinstance(job, _Outside)]

    def _alone(self) -> list[_Outcome]:
        ((call, waiter),) = self._calls()
        if waiter.cancelled():
            return []
        self._turn.begin(self._cursor)
        transaction = SqliteTransaction(self._cursor)
        answer = transaction.run_call(call)
        self._noted = transaction.noted
        self._commit()
        return [(waiter, answer, None)]

    def _together(self) -> list[_Outcome]:
        self._turn.begin(self._cursor)
        outcomes = []
        for call, waiter in self._calls():
            if waiter.cancelled():
                continue
            outcomes.append(self._in_savepoint(call, waiter))
            if not self._connection.in_transaction:
                # a full disk or the like: SQLite took back the whole group, also those it had answered
                return [outcome for job in self._jobs for outcome in _Group(self._cursor, self._turn, [job]).run()]
        self._commit()
        return outcomes

    def _commit(self) -> None:
        """Chain what the calls wrote down, and make all of it durable together."""
        if self._noted:
            last = self._cursor.execute(positional(audit.LAST).text).fetchone()
            head = audit.EMPTY if last is None else audit.Head(*last)
            self._cursor.executemany(positional(audit.ADD).text, audit.chained(head, self._noted))
        self._cursor.execute("COMMIT")

    def _in_savepoint(self, call: Call[Any], waiter: asyncio.Future[Any]) -> _Outcome:
        self._cursor.execute("SAVEPOINT call")
        transaction = SqliteTransaction(self._cursor)
        try:
            answer = transaction.run_call(call)
        except BaseException as error:  # noqa: BLE001 - the waiter gets it
            if self._connection.in_transaction:
                self._cursor.execute("ROLLBACK TO call")
                self._cursor.execute("RELEASE call")
            return waiter, None, error
        self._cursor.execute("RELEASE call")
        self._noted += transaction.noted
        return waiter, answer, None

    def _lost(self, error: BaseException) -> list[_Outcome]:
        """The error of a single call, or of BEGIN or COMMIT: then nothing of the group stays."""
        if not isinstance(error, sqlite3.Error):
            return [(waiter, None, error) for _, waiter in self._jobs]
        # an exception of its own for each waiter: raised in several places, one would gather all their tracebacks
        return [(waiter, None, _caused(trouble(error), error)) for _, waiter in self._jobs]


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    if error is not cause:
        error.__cause__ = cause
    return error

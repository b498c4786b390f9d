"""A group of calls in one open transaction: side by side those that say what they hold, the others one after the other.

How carefully depends on what happened to the group before. Without care nothing can be taken back of one call alone,
so a call that fails after it has written something sends the whole group back, to be run again with more care.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from unbroken.store.contract import Call  # noqa: TC001 - a NamedTuple's
from unbroken.store.postgres.beside import MetAfterWriting, side_by_side
from unbroken.store.postgres.transaction import Kind, Outcome, Running
from unbroken.store.postgres.trouble import READ_ONLY, is_conflict, is_lost, may_pass, sqlstate, trouble

if TYPE_CHECKING:
    from collections.abc import Sequence


class Job(NamedTuple):
    """A call, who waits for its outcome, and the clock that ends the waiting for its turn."""

    call: Call[Any]
    waiter: asyncio.Future[Any]
    late: asyncio.TimerHandle


Told: TypeAlias = list[tuple[asyncio.Future[Any], Outcome[Any]]]


class Care(Enum):
    """How carefully the calls of a group are run."""

    SIDE_BY_SIDE = auto()
    ONE_BY_ONE = auto()
    WITH_SAVEPOINTS = auto()


class Again(Exception):
    """The group must be run again with more care: one of its calls cannot be taken back alone."""

    def __init__(self, care: Care) -> None:
        super().__init__(care)
        self.care = care


class Refused(Exception):
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


async def run(connection: Any, jobs: Sequence[Job], care: Care) -> Told:
    """Run each call to its end; begin and commit are the business of the caller.

    Raises:
        Again: with more care. Not of a group of one, nor of one with savepoints.
        Refused: the transaction is lost.
    """
    told: Told = []
    left = [job for job in jobs if not job.waiter.done()]
    for job in left:
        job.late.cancel()  # its turn has come
    if care is Care.SIDE_BY_SIDE:
        told, left, has_written = await _beside(connection, left)
        if has_written and left:
            return told + await _rest(connection, left)
    return told + await _in_turn(connection, left, care, is_alone=len(jobs) == 1)


async def _rest(connection: Any, jobs: Sequence[Job]) -> Told:
    """Run what is left after those side by side, which stay as they are if one of these must be taken back."""
    await _execute(connection, "SAVEPOINT rest")
    try:
        return await _in_turn(connection, jobs, Care.ONE_BY_ONE, is_alone=False)
    except Again:
        await _execute(connection, "ROLLBACK TO rest")
    return await _in_turn(connection, jobs, Care.WITH_SAVEPOINTS, is_alone=False)


async def _in_turn(connection: Any, jobs: Sequence[Job], care: Care, *, is_alone: bool) -> Told:
    return [(job.waiter, await _next(connection, job.call, care, is_alone=is_alone)) for job in jobs]


async def _beside(connection: Any, jobs: Sequence[Job]) -> tuple[Told, list[Job], bool]:
    """Run those side by side that begin by holding something; the jobs that are left, and whether they wrote."""
    started = [(Running(job.call), job) for job in jobs]
    holding = [one for one in started if one[0].asked is not None and one[0].asked.kind is Kind.BESIDE]
    if len(holding) < 2:
        holding = []
    await _in_step(connection, [running for running, _ in holding])
    told = [(job.waiter, running.outcome) for running, job in started if running.outcome is not None]
    for running, _ in started:
        if running.asked is not None:
            running.give_up()
    has_written = any(not running.transaction.is_clean for running, _ in holding)
    return told, [job for running, job in started if running.outcome is None], has_written


async def _in_step(connection: Any, calls: Sequence[Running[Any]]) -> None:
    try:
        await side_by_side(connection, calls)
    except MetAfterWriting:
        raise Again(Care.ONE_BY_ONE) from None
    except Exception as error:
        _refuse_if_of_all(connection, error)
        raise Again(Care.WITH_SAVEPOINTS) from error
    if any(one.outcome is not None and one.outcome.error and not one.transaction.is_clean for one in calls):
        raise Again(Care.WITH_SAVEPOINTS)


async def _next(connection: Any, call: Call[Any], care: Care, *, is_alone: bool) -> Outcome[Any]:
    """Run one call, whose effect can be taken back only with savepoints, or where nothing else is there."""
    if care is Care.WITH_SAVEPOINTS:
        await _execute(connection, "SAVEPOINT call")
    running = Running(call)
    outcome = await running.to_its_end(connection)
    if running.transaction.cause is not None:
        _refuse_if_of_all(connection, running.transaction.cause)
    if outcome.error is not None and not running.transaction.is_clean:
        if is_alone:
            raise Refused(outcome.error, may_pass=False, is_of_one=True)
        if care is not Care.WITH_SAVEPOINTS:
            raise Again(Care.WITH_SAVEPOINTS)
        await _execute(connection, "ROLLBACK TO call")
    if care is Care.WITH_SAVEPOINTS:
        await _execute(connection, "RELEASE call")
    return outcome


def _refuse_if_of_all(connection: Any, cause: Exception) -> None:
    """Let pass what is of one call alone.

    Raises:
        Refused: the transaction is lost.
    """
    if sqlstate(cause) == READ_ONLY:  # of a transaction that may write: the server is no primary any more
        connection.terminate()
        raise Refused(named(cause), may_pass=True, is_of_one=True) from None
    if is_lost(cause):
        connection.terminate()  # nobody is there to be told of a ROLLBACK
    if is_lost(cause) or is_conflict(cause):
        raise Refused(named(cause), may_pass=may_pass(cause), is_of_one=True) from None


async def _execute(connection: Any, statement: str) -> None:
    try:
        await connection.execute(statement)
    except Exception as error:  # noqa: BLE001 - named for the waiters
        if is_lost(error):
            connection.terminate()
        raise Refused(named(error), may_pass=may_pass(error), is_of_one=True) from None


def named(error: Exception) -> Exception:
    """What an error means to the one who operates the server."""
    return caused(trouble(error), error)


def caused(error: Exception, cause: BaseException | None) -> Exception:
    """`error` with its cause."""
    if error is not cause:
        error.__cause__ = cause
    return error

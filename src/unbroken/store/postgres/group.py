"""A group of calls in one open transaction: side by side those that say what they hold, the others one after the other.

How carefully depends on what happened to the group before. Without care nothing can be taken back of one call alone,
so a call that fails after it has written something sends the whole group back, to be run again with more care.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from unbroken.store.contract import Call
from unbroken.store.postgres.beside import MetAfterWriting, side_by_side
from unbroken.store.postgres.transaction import Kind, Outcome, Running
from unbroken.store.postgres.trouble import is_conflict, is_lost, may_pass, trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.postgres.together import Statements

Job: TypeAlias = tuple[Call[Any], asyncio.Future[Any]]
Told: TypeAlias = list[tuple[asyncio.Future[Any], Outcome[Any]]]


class Care(Enum):
    """How carefully the calls of a group are run."""

    SIDE_BY_SIDE = auto()
    ONE_BY_ONE = auto()
    WITH_SAVEPOINTS = auto()


MORE_CARE: Final = {Care.SIDE_BY_SIDE: Care.ONE_BY_ONE, Care.ONE_BY_ONE: Care.WITH_SAVEPOINTS}


class Again(Exception):
    """The group must be run again with more care: one of its calls cannot be taken back alone."""


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


async def run(connection: Any, statements: Statements, jobs: Sequence[Job], care: Care) -> Told:
    """Run each call to its end; begin and commit are the business of the caller.

    Raises:
        Again: with more care. Not of a group of one, nor of one with savepoints.
        Refused: the transaction is lost.
    """
    told: Told = []
    left = [job for job in jobs if not job[1].cancelled()]
    if care is Care.SIDE_BY_SIDE:
        told, left = await _beside(connection, statements, left)
    for call, waiter in left:
        told.append((waiter, await _next(connection, call, care, is_alone=len(jobs) == 1)))
    return told


async def _beside(connection: Any, statements: Statements, jobs: Sequence[Job]) -> tuple[Told, list[Job]]:
    """Run those side by side that begin by holding something; with the jobs that are left."""
    started = [(Running(call), waiter, (call, waiter)) for call, waiter in jobs]
    holding = [one for one in started if one[0].asked is not None and one[0].asked.kind is Kind.BESIDE]
    if len(holding) < 2:
        holding = []
    await _in_step(connection, statements, [running for running, _, _ in holding])
    told = [(waiter, running.outcome) for running, waiter, _ in started if running.outcome is not None]
    for running, _, _ in started:
        if running.asked is not None:
            running.give_up()
    return told, [job for running, _, job in started if running.outcome is None]


async def _in_step(connection: Any, statements: Statements, calls: Sequence[Running[Any]]) -> None:
    try:
        await side_by_side(connection, statements, calls)
    except MetAfterWriting:
        raise Again from None
    except Exception as error:
        if is_lost(error) or is_conflict(error):
            raise Refused(named(error), may_pass=may_pass(error), is_of_one=True) from None
        raise Again from error
    if any(one.outcome is not None and one.outcome.error and not one.transaction.is_clean for one in calls):
        raise Again


async def _next(connection: Any, call: Call[Any], care: Care, *, is_alone: bool) -> Outcome[Any]:
    """Run one call, whose effect can be taken back only with savepoints, or where nothing else is there."""
    if care is Care.WITH_SAVEPOINTS:
        await _execute(connection, "SAVEPOINT call")
    running = Running(call)
    outcome = await running.to_its_end(connection)
    cause = running.transaction.cause
    if cause is not None and (is_lost(cause) or is_conflict(cause)):
        raise Refused(named(cause), may_pass=may_pass(cause), is_of_one=True)
    if outcome.error is not None and not running.transaction.is_clean:
        if is_alone:
            raise Refused(outcome.error, may_pass=False, is_of_one=True)
        if care is not Care.WITH_SAVEPOINTS:
            raise Again
        await _execute(connection, "ROLLBACK TO call")
    if care is Care.WITH_SAVEPOINTS:
        await _execute(connection, "RELEASE call")
    return outcome


async def _execute(connection: Any, statement: str) -> None:
    try:
        await connection.execute(statement)
    except Exception as error:  # noqa: BLE001 - named for the waiters
        raise Refused(named(error), may_pass=may_pass(error), is_of_one=True) from None


def named(error: Exception) -> Exception:
    """What an error means to the one who operates the server."""
    return caused(trouble(error), error)


def caused(error: Exception, cause: BaseException | None) -> Exception:
    """`error` with its cause."""
    if error is not cause:
        error.__cause__ = cause
    return error

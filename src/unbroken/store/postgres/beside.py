"""Calls side by side: those of a group that say what they hold go in step, and each statement is put once for all.

A link asks some twenty statements. Sixty-four links, one after the other, wait for the server twelve hundred times; in
step they wait for it twenty times, and each of them still reads as if it were alone (docs/decisions/0020).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from unbroken.store.postgres import together
from unbroken.store.postgres.transaction import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbroken.store.postgres.transaction import Asked, Running
    from unbroken.store.sql import Numbered


class MetAfterWriting(Exception):
    """A call that has written something asks for what another one holds: they must be run one after the other."""


async def side_by_side(connection: Any, calls: Sequence[Running[Any]]) -> None:
    """Drive calls that begin by holding something, each to its end.

    One that meets another is given up and has no outcome: it left nothing, and must be run again after the others.

    Raises:
        MetAfterWriting: everything must be taken back.
        Exception: of a statement; which call it was for cannot be told.
    """
    held = _Held()
    going = list(calls)
    while going:
        for call in going:
            held.grant(call)
        for asked in _alike(going):
            await _answer(connection, asked)
        going = [call for call in going if call.asked is not None]


_HOLDS: Final = frozenset({Kind.HOLD, Kind.BESIDE})


class _Held:
    """Who holds what."""

    def __init__(self) -> None:
        self._by: dict[bytes, Running[Any]] = {}

    def grant(self, call: Running[Any]) -> None:
        """Let a call go on until it asks for something else than to hold; or give it up."""
        while call.asked is not None and call.asked.kind in _HOLDS:
            if any(self._by.setdefault(key, call) is not call for key in call.asked.values):
                self._give_up(call)
            else:
                call.go_on(None)

    def _give_up(self, call: Running[Any]) -> None:
        """It comes after all the others, so it stands in nobody's way meanwhile."""
        if not call.transaction.is_clean:
            raise MetAfterWriting
        call.give_up()
        self._by = {key: holder for key, holder in self._by.items() if holder is not call}


def _alike(calls: Iterable[Running[Any]]) -> list[list[Running[Any]]]:
    """The calls that ask the same with other values; a look at another system is like no other."""
    groups: dict[object, list[Running[Any]]] = {}
    for call in calls:
        if (asked := call.asked) is not None:
            groups.setdefault(_sort(asked), []).append(call)
    return list(groups.values())


def _sort(asked: Asked) -> object:
    return asked if asked.statement is None else (asked.kind, asked.statement.text)


async def _answer(connection: Any, calls: Sequence[Running[Any]]) -> None:
    asked = [call.asked for call in calls if call.asked is not None]
    first, values = asked[0], [one.values for one in asked]
    answers: Sequence[Any] = [None] * len(calls)
    if first.statement is None or len(asked) == 1:
        answers = [await first.put(connection)]
    elif first.kind is Kind.ROWS:
        answers = await together.rows_of_each(connection, first.statement, values)
    elif first.kind is Kind.COUNT:
        answers = await together.counts(connection, first.statement, values)
    elif first.kind is Kind.EACH:
        answers = await _of_each(connection, first.statement, values)
    else:
        await together.many(connection, first.statement, [row for rows in values for row in rows])
    for call, answer in zip(calls, answers, strict=True):
        call.go_on(answer)


async def _of_each(connection: Any, statement: Numbered, asked: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The answers to each, of calls that ask for many themselves."""
    answers = iter(await together.rows_of_each(connection, statement, [row for rows in asked for row in rows]))
    return [list(islice(answers, len(rows))) for rows in asked]

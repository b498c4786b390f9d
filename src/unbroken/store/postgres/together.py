"""One statement for many calls: what each of them asks with values of its own is put to the server once.

The values travel as arrays, one for each parameter, and become the rows of a table named `asked` with a number, `turn`.
A SELECT is looked up once for each of its rows, in a subquery that the planner keeps apart (OFFSET 0): so it goes by
the index by which it would go alone, whatever the statistics say. An INSERT takes its rows from there. What else
writes is told again and again, without waiting for answers in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from unbroken.store.sql import renamed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Value
    from unbroken.store.sql import Numbered

_INSERT: Final = re.compile(
    r"(?P<head>\s*INSERT\s+INTO\s+\w+\s*\([^()]*\))\s*VALUES\s*\((?P<values>[^()]*)\)(?P<rest>[^$]*)",
    re.IGNORECASE,
)
_MAY_LEAVE_OUT: Final = re.compile(r"\bDO\s+NOTHING\b|\bWHERE\b", re.IGNORECASE)
_RETURNING: Final = re.compile(r"\bRETURNING\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Arrays:
    """The values of many as one array for each parameter."""

    names: str
    unnest: str

    @classmethod
    def of(cls, types: Sequence[str]) -> _Arrays:
        arrays = ", ".join(f"${number}::{name}[]" for number, name in enumerate(types, 1))
        names = ", ".join([*(f"p{number}" for number in range(1, len(types) + 1)), "turn"])
        return cls(names, f"unnest({arrays}) WITH ORDINALITY AS asked({names})")


def _asked(number: int) -> str:
    return f"asked.p{number}"


_types: Final[WeakKeyDictionary[Any, dict[str, tuple[str, ...]]]] = WeakKeyDictionary()
"""What the server of a connection said of the types of a statement's parameters."""


async def rows_of_each(connection: Any, statement: Numbered, asked: Sequence[Sequence[Value]]) -> list[list[Any]]:
    """The rows of the answer to each."""
    if not statement.only_reads:
        return await _changed(connection, statement, asked)
    once = {tuple(values): turn for turn, values in reversed(list(enumerate(asked)))}
    turns = sorted(once.values())
    found = await _read(connection, statement, [asked[turn] for turn in turns])
    answers = dict(zip(turns, found, strict=True))
    return [answers[once[tuple(values)]] for values in asked]


async def counts(connection: Any, statement: Numbered, asked: Sequence[Sequence[Value]]) -> list[int]:
    """How many rows each changed."""
    text = await _insert(connection, statement)
    if text is None or _MAY_LEAVE_OUT.search(text):
        return [len(rows) for rows in await _one_by_one(connection, statement, asked)]
    await connection.execute(text, *_columns(asked))
    return [1] * len(asked)


async def many(connection: Any, statement: Numbered, rows: Sequence[Sequence[Value]]) -> None:
    """Run it for each of the rows."""
    text = await _insert(connection, statement)
    if text is None:
        await connection.executemany(statement.text, rows)
    else:
        await connection.execute(text, *_columns(rows))


async def _read(connection: Any, statement: Numbered, asked: Sequence[Sequence[Value]]) -> list[list[Any]]:
    if len(asked) == 1:
        return [await connection.fetch(statement.text, *asked[0])]
    arrays = _Arrays.of(await _types_of(connection, statement))
    text = (
        f"SELECT asked.turn, found.* FROM {arrays.unnest}"
        f" CROSS JOIN LATERAL ({renamed(statement.text, _asked)} OFFSET 0) AS found"
    )
    return _by_turn(await connection.fetch(text, *_columns(asked)), len(asked))


async def _changed(connection: Any, statement: Numbered, asked: Sequence[Sequence[Value]]) -> list[list[Any]]:
    text = await _insert(connection, statement)
    if text is None or _MAY_LEAVE_OUT.search(text):
        return await _one_by_one(connection, statement, asked)
    return [[tuple(row)] for row in await connection.fetch(text, *_columns(asked))]


async def _one_by_one(connection: Any, statement: Numbered, asked: Sequence[Sequence[Value]]) -> list[list[Any]]:
    """Tell it for each of them, and let each changed row say for whom it was."""
    comma = "," if _RETURNING.search(statement.text) else " RETURNING"
    text = f"{statement.text}{comma} ${statement.count + 1}::int"
    rows = await connection.fetchmany(text, [(*values, turn) for turn, values in enumerate(asked, 1)])
    return _by_turn([(row[-1], *row[:-1]) for row in map(tuple, rows)], len(asked))


async def _insert(connection: Any, statement: Numbered) -> str | None:
    """The text that inserts many rows in their order; None where the statement is no plain INSERT of one row."""
    known = _INSERT.fullmatch(statement.text)
    if known is None:
        return None
    arrays = _Arrays.of(await _types_of(connection, statement))
    values = renamed(known["values"], _asked)
    return f"{known['head']} SELECT {values} FROM {arrays.unnest} ORDER BY asked.turn{known['rest']}"


async def _types_of(connection: Any, statement: Numbered) -> tuple[str, ...]:
    known = _types.setdefault(connection, {})
    if statement.text not in known:
        prepared = await connection.prepare(statement.text)
        known[statement.text] = tuple(one.name for one in prepared.get_parameters())
    return known[statement.text]


def _columns(rows: Sequence[Sequence[Value]]) -> list[list[Value]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _by_turn(rows: Sequence[Any], count: int) -> list[list[Any]]:
    """Rows that begin with their turn, from 1, as those of each turn."""
    answers: list[list[Any]] = [[] for _ in range(count)]
    for turn, *rest in rows:
        answers[turn - 1].append(tuple(rest))
    return answers

"""Whole rows of a table, from key to key, on any engine: what a move reads and writes (`flow/move`).

Rows are tuples in the order of `Shape.all`, their BOOLEANs 0 or 1, so that rows of two engines can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Row, Transaction, Value
    from unbroken.store.movable import Shape

Key: TypeAlias = "tuple[Value, ...]"


async def between(
    tx: Transaction, table: Shape, after: Key | None, until: Key | None, limit: int | None = None
) -> list[Row]:
    """Rows in order of the key, from behind `after` up to and with `until`; `limit` of them at most."""
    values: list[Value] = []
    said = []
    for sign, bound in ((">", after), ("<=", until)):
        if bound is not None:
            said.append(f"({_named(table.key)}) {sign} ({_places(len(values), len(bound))})")
            values += bound
    where = f" WHERE {' AND '.join(said)}" if said else ""
    end = "" if limit is None else f" LIMIT ${len(values) + 1}"
    values += [] if limit is None else [limit]
    statement = f'SELECT {_named(table.all)} FROM "{table.name}"{where} ORDER BY {_named(table.key)}{end}'
    return _with_truths(table, await tx.all(statement, *values), int)


async def take_away(tx: Transaction, table: Shape, keys: Sequence[Key]) -> None:
    """Delete rows by their keys."""
    where = " AND ".join(f'"{column}" = ${place}' for place, column in enumerate(table.key, 1))
    await tx.many(f'DELETE FROM "{table.name}" WHERE {where}', keys)


async def add(tx: Transaction, table: Shape, overriding: str, rows: Sequence[Row]) -> None:
    """Insert rows; `overriding` as `Movable` says it."""
    places = _places(0, len(table.all))
    statement = f'INSERT INTO "{table.name}" ({_named(table.all)}) {overriding} VALUES ({places})'
    await tx.many(statement, _with_truths(table, rows, bool))


async def is_any(tx: Transaction, table: Shape) -> bool:
    """Whether a table has a row."""
    return await tx.one(f'SELECT 1 FROM "{table.name}" LIMIT 1') is not None


async def count(tx: Transaction, table: Shape) -> int:
    """How many rows a table has."""
    row = await tx.one(f'SELECT count(*) FROM "{table.name}"')
    return int(row[0]) if row else 0


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _places(after: int, count: int) -> str:
    return ", ".join(f"${place}" for place in range(after + 1, after + count + 1))


def _with_truths(table: Shape, rows: Sequence[Row], kind: type[int]) -> list[Row]:
    """Rows with their BOOLEANs as numbers, to be compared, or as what every engine stores."""
    places = [place for place, column in enumerate(table.all) if column in table.truths]
    if not places:
        return list(rows)
    changed = []
    for row in rows:
        values = list(row)
        for place in places:
            if values[place] is not None:
                values[place] = kind(values[place])
        changed.append(tuple(values))
    return changed

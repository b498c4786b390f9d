"""Whole tables, a page at a time, and of each row which of its references lead nowhere (`flow/verify`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Transaction, Value


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names rows of other tables.

    Args:
        targets: (table, column) of which one at least must hold the value.
        unless: SQL over the row, as `t`, in which case it need not.
    """

    column: str
    targets: tuple[tuple[str, str], ...]
    unless: str = "FALSE"


@dataclass(frozen=True, slots=True)
class Table:
    """What is read of a table.

    Args:
        key: its primary key.
        columns: what else is looked at.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One row: its columns by name, and which of its references lead nowhere."""

    key: tuple[Value, ...]
    values: dict[str, Any]
    dangling: list[Reference]


async def page(tx: Transaction, table: Table, after: Sequence[Value] | None, limit: int) -> list[Seen]:
    """Some rows in order of the key, from behind `after`."""
    rows = await tx.all(_page(table, is_first=after is None), *(after or ()), limit)
    names = (*table.key, *table.columns, *(reference.column for reference in table.references))
    known = len(names)
    return [
        Seen(
            key=tuple(row[: len(table.key)]),
            values=dict(zip(names, row[:known], strict=True)),
            dangling=[one for one, is_sound in zip(table.references, row[known:], strict=True) if not is_sound],
        )
        for row in rows
    ]


def _page(table: Table, *, is_first: bool) -> str:
    columns = [*table.key, *table.columns, *(reference.column for reference in table.references)]
    said = [f"t.{column}" for column in columns] + [_is_sound(reference) for reference in table.references]
    count = 0 if is_first else len(table.key)
    key, places = ", ".join(table.key), ", ".join(f"${place}" for place in range(1, count + 1))
    where = "" if is_first else f" WHERE ({key}) > ({places})"
    return f"SELECT {', '.join(said)} FROM {table.name} t{where} ORDER BY {key} LIMIT ${count + 1}"


def _is_sound(reference: Reference) -> str:
    there = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} o WHERE o.{column} = t.{reference.column})"
        for table, column in reference.targets
    )
    return f"(t.{reference.column} IS NULL OR {reference.unless} OR {there})"

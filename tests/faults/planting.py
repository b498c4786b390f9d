"""Planting: one row of a closed database is changed, deleted or added, past every check of the engine."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from random import Random  # noqa: TID251 - seeded
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.corruptions import COLUMNS, DELETED, INSERTED, MENDED_INSERTS, Column, other

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20_260_807


class Corruption(NamedTuple):
    """One row, changed, deleted or added."""

    name: str
    table: str
    column: str | None
    how: Column
    turn: int
    statement: str | None = None

    def plant(self, path: Path) -> None:
        """Do it, past every check of the engine."""
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA ignore_check_constraints = ON")
            if self.statement is not None:
                file.execute(self.statement)
                return
            self._plant(file)

    def _plant(self, file: sqlite3.Connection) -> None:
        for at in self._rows(file):
            key = [name for name, *_, place in columns_of(file, self.table) if place]
            row = file.execute(f"SELECT {', '.join(key)}, {self.column or 1} FROM {self.table} LIMIT 1 OFFSET {at}")
            *values, before = row.fetchone()
            where = " AND ".join(f"{name} IS ?" for name in key)
            matches = file.execute(f"SELECT 1 FROM {self.table} WHERE {where} AND ({self.how.where})", values)
            if matches.fetchone() is None:
                continue
            if self.column is None:
                file.execute(f"DELETE FROM {self.table} WHERE {where}", values)
                return
            try:
                file.execute(
                    f"UPDATE {self.table} SET {self.column} = ? WHERE {where}", [self.how.spoil(before), *values]
                )
            except sqlite3.IntegrityError:
                continue  # the database itself refuses to hold that
            if self.how.spoil(before) != before:
                return
        raise LookupError(f"nothing to plant: {self.name}")

    def _rows(self, file: sqlite3.Connection) -> Iterator[int]:
        """All rows, from one that the seed leads to."""
        (count,) = file.execute(f"SELECT count(*) FROM {self.table}").fetchone()
        first = zlib.crc32(f"{SEED} {self.table} {self.column} {self.turn}".encode())
        yield from ((first + step) % count for step in range(count))


def columns_of(file: sqlite3.Connection, table: str) -> list[tuple[str, bool, int]]:
    """(name, is not null, place in the key) of each."""
    return [(row[1], bool(row[3]), row[5]) for row in file.execute(f"PRAGMA table_info({table})")]


ALL = [
    *(
        Corruption(f"{table}.{name} {turn}", table, name, how, turn)
        for table, columns in COLUMNS.items()
        for name, how in columns.items()
        for turn in range(how.rows)
    ),
    *(
        Corruption(f"{table} deleted {turn}", table, None, how, turn)
        for table, how in DELETED.items()
        for turn in range(2)
    ),
    *(
        Corruption(name, "", None, Column(other, mends=name in MENDED_INSERTS), 0, statement)
        for name, statement in INSERTED.items()
    ),
]

_FIRST = [one for one in ALL if one.turn == 0]
_LATER = [one for one in ALL if one.turn > 0]
CHOSEN = [*_FIRST, *Random(SEED).sample(_LATER, max(0, 200 - len(_FIRST)))]
"""Two hundred: every column and table once, the rest by chance. What is left is planted by `make prove`."""
LEFT = [one for one in ALL if one not in CHOSEN]

"""The mark of a move, one row in a table beside the platform's own, in both databases; and the change of names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from unbroken.store.whereabouts import SIGN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.store.contract import Transaction

TABLE: Final = "moves"


class Role(StrEnum):
    """What a database is in a move."""

    LEAVING = "leaving"
    LEFT = "left"
    FILLING = "filling"
    FILLED = "filled"


@dataclass(frozen=True, slots=True)
class Mark:
    """The row.

    Args:
        move_id: the same in both databases, 12 bytes.
        run: which process fills the database now; one that finds another's has been replaced, and writes no more.
        place: where the other database is, without a password.
        receipts: how often there had been a reason to purge the source before the first row was copied.
    """

    move_id: bytes
    role: Role
    run: bytes
    place: str
    receipts: int


_MAKE: Final = (
    "CREATE TABLE IF NOT EXISTS moves (only_row BIGINT NOT NULL, move_id BYTEA NOT NULL, role TEXT NOT NULL,"
    " run BYTEA NOT NULL, place TEXT NOT NULL, receipts BIGINT NOT NULL,"
    " CONSTRAINT moves_key PRIMARY KEY (only_row))"
)
_FIND: Final = "SELECT move_id, role, run, place, receipts FROM moves WHERE only_row = 1"
_PUT: Final = (
    "INSERT INTO moves (only_row, move_id, role, run, place, receipts) VALUES (1, $1, $2, $3, $4, $5)"
    " ON CONFLICT (only_row) DO UPDATE SET move_id = excluded.move_id, role = excluded.role, run = excluded.run,"
    " place = excluded.place, receipts = excluded.receipts"
)


async def make(tx: Transaction) -> None:
    """Make the table where it is not there yet."""
    await tx.run(_MAKE)


async def find(tx: Transaction) -> Mark | None:
    """The mark, in a database that has the table."""
    row = await tx.one(_FIND)
    return Mark(bytes(row[0]), Role(row[1]), bytes(row[2]), row[3], int(row[4])) if row else None


async def put(tx: Transaction, mark: Mark) -> None:
    """Set the mark."""
    await tx.run(_PUT, mark.move_id, mark.role.value, mark.run, mark.place, mark.receipts)


async def versions(tx: Transaction, prefix: str) -> list[int]:
    """The numbers of the migrations that were applied to a database whose tables bear `prefix`."""
    return [int(row[0]) for row in await tx.all(f'SELECT version FROM "{prefix}{SIGN}" ORDER BY version')]


async def rename(tx: Transaction, tables: Iterable[str], before: str, after: str) -> None:
    """Give each of `tables`, named with the prefix `before`, the prefix `after`."""
    for table in tables:
        await tx.run(f'ALTER TABLE "{before}{table}" RENAME TO "{after}{table}"')

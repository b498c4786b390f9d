"""Home: where the payload log of a database is, if it is not in the database itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.log import cursors

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

STRIDE_BITS: Final = 20
"""A message of a stream has a position for itself and a million behind it, which it can give away (`reserve`)."""

_FIND: Final = "SELECT stream, mark, partitions FROM log_home WHERE only_row = 1"
_KEEP: Final = """
    INSERT INTO log_home (only_row, stream, mark, partitions) VALUES (1, $1, $2, $3)
    ON CONFLICT (only_row) DO NOTHING"""
_WAITING: Final = "SELECT 1 FROM log_records LIMIT 1"


@dataclass(frozen=True, slots=True)
class Home:
    """A stream.

    Args:
        mark: what it carries as a sign that it was made for this database.
        partitions: how many it has, for ever.
    """

    stream: str
    mark: str
    partitions: int


async def find(tx: Transaction) -> Home | None:
    """Where the log is; None: in the database."""
    row = await tx.one(_FIND)
    return None if row is None else Home(row[0], row[1], int(row[2]))


async def keep(tx: Transaction, home: Home) -> None:
    """Remember it, unless that was done."""
    await tx.run(_KEEP, home.stream, home.mark, home.partitions)
    await cursors.add_partitions(tx, home.partitions)


async def is_anything_waiting(tx: Transaction) -> bool:
    """Whether the log in the database holds what was not processed."""
    return await tx.one(_WAITING) is not None


async def last_processed(tx: Transaction) -> int:
    """The last sequence of the stream that a cursor has passed."""
    return max((await cursors.positions(tx)).values(), default=0) >> STRIDE_BITS


async def first_sequence(tx: Transaction) -> int:
    """The first sequence of a stream whose positions lie beyond all that the log in the database gave out."""
    return (await cursors.head(tx) >> STRIDE_BITS) + 1

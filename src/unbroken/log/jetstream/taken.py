"""Taken: records that a transaction has taken out of the stream. The stream learns of it when that is durable.

Until then, and on replicas that lag behind, a record is still there; what is named here nobody reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.store.contract import Transaction

_ADD: Final = """
    INSERT INTO log_taken (partition_no, position, is_scrubbed) VALUES ($1, $2, FALSE)
    ON CONFLICT (partition_no, position) DO NOTHING"""
_OF: Final = "SELECT position FROM log_taken WHERE partition_no = $1"
_UNSCRUBBED: Final = "SELECT partition_no, position FROM log_taken WHERE NOT is_scrubbed LIMIT $1"
_SCRUBBED: Final = "UPDATE log_taken SET is_scrubbed = TRUE WHERE partition_no = $1 AND position = $2"
_FORGET: Final = "DELETE FROM log_taken WHERE partition_no = $1 AND position <= $2 AND is_scrubbed"


async def add(tx: Transaction, partition: int, positions: Iterable[int]) -> None:
    """Take records out."""
    await tx.many(_ADD, [(partition, position) for position in positions])


async def of(tx: Transaction, partition: int) -> set[int]:
    """The positions of a partition that were taken out."""
    return {int(row[0]) for row in await tx.all(_OF, partition)}


async def unscrubbed(tx: Transaction, limit: int) -> list[tuple[int, int]]:
    """(partition, position) of some that the stream still holds."""
    return [(int(row[0]), int(row[1])) for row in await tx.all(_UNSCRUBBED, limit)]


async def scrubbed(tx: Transaction, rows: Iterable[tuple[int, int]]) -> None:
    """The stream holds these no more."""
    await tx.many(_SCRUBBED, list(rows))


async def forget(tx: Transaction, partition: int, position: int) -> None:
    """The cursor went past: no reader can meet what the stream holds no more."""
    await tx.run(_FORGET, partition, position)

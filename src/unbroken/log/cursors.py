"""Cursors, leases and epochs of partitions, as rows of the store: one transaction with the effects, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.log.contract import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from unbroken.store.contract import Transaction

_LEASE: Final = """
    UPDATE log_partitions
    SET epoch = CASE WHEN holder = $2 THEN epoch ELSE epoch + 1 END, holder = $2, leased_until = $4
    WHERE partition_no = $1 AND (holder = $2 OR leased_until <= $3)
    RETURNING epoch"""
_MOVE: Final = """
    UPDATE log_partitions SET position = $3 WHERE partition_no = $1 AND epoch = $2 AND position < $3"""
_OUTDATE: Final = "UPDATE log_partitions SET epoch = epoch + 1 WHERE partition_no = $1"
_CURSORS: Final = "SELECT partition_no, position FROM log_partitions ORDER BY partition_no"
_CURSOR: Final = "SELECT position FROM log_partitions WHERE partition_no = $1"
_HEAD: Final = "SELECT position FROM log_head WHERE only_row = 1"
_ADD: Final = """
    INSERT INTO log_partitions (partition_no, position, epoch, leased_until) VALUES ($1, 0, 0, 0)
    ON CONFLICT (partition_no) DO NOTHING"""
_IS_USED: Final = "SELECT used FROM installs WHERE install_id = $1"
_USED: Final = "UPDATE installs SET used = TRUE WHERE install_id = $1"


async def lease(tx: Transaction, partitions: Sequence[int], holder: str, now_ms: int, until_ms: int) -> dict[int, int]:
    """See `PayloadLog.lease`."""
    epochs = {}
    for partition in sorted(partitions):  # in one order, so that two workers cannot wait for each other
        if (row := await tx.one(_LEASE, partition, holder, now_ms, until_ms)) is not None:
            epochs[partition] = int(row[0])
    return epochs


async def move(tx: Transaction, partition: int, epoch: int, position: int) -> None:
    """Move a cursor.

    Raises:
        LeaseLost: the epoch is not the partition's own any more, or the cursor is there already.
    """
    if await tx.run(_MOVE, partition, epoch, position) != 1:
        raise LeaseLost(f"Partition {partition} is not at epoch {epoch} before position {position} any more.")


async def outdate(tx: Transaction, partition: int) -> None:
    """Let whoever has read the partition read it again, and let nobody move its cursor before this transaction ends."""
    await tx.run(_OUTDATE, partition)


async def positions(tx: Transaction) -> dict[int, int]:
    """The cursor of every partition."""
    return {int(row[0]): int(row[1]) for row in await tx.all(_CURSORS)}


async def position(tx: Transaction, partition: int) -> int:
    """The cursor of one partition."""
    row = await tx.one(_CURSOR, partition)
    assert row is not None, "opening the log put the row there"
    return int(row[0])


async def head(tx: Transaction) -> int:
    """The last position that the log in the database gave out."""
    row = await tx.one(_HEAD)
    assert row is not None, "migration 0002_log put the row there"
    return int(row[0])


async def add_partitions(tx: Transaction, count: int) -> None:
    """See to it that there are cursors of that many partitions."""
    await tx.many(_ADD, [(number,) for number in range(count)])


async def use(tx: Transaction, install_ids: Collection[bytes]) -> set[bytes]:
    """Mark installs as used; those that are none."""
    asked = [(install_id,) for install_id in sorted(install_ids)]
    found = [rows[0] if rows else None for rows in await tx.each(_IS_USED, asked)]
    await tx.many(_USED, [one for one, row in zip(asked, found, strict=True) if row is not None and not row[0]])
    return {install_id for (install_id,), row in zip(asked, found, strict=True) if row is None}

"""Whose partition is whose, and that nobody writes under an epoch that is past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.log.contract import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.matrix.operator import Operator

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_LEASES: Final = "SELECT partition_no, holder, epoch, position FROM log_partitions WHERE holder IS NOT NULL"
_TRIED: Final = 8


class Lease(NamedTuple):
    """A partition as it is leased."""

    holder: str
    epoch: int
    position: int


class _NotRefused(Exception):
    """A cursor was moved under an epoch that is past."""


def leases(operator: Operator) -> dict[int, Lease]:
    """The lease of every partition that was ever worked on."""

    async def read(tx: Transaction) -> dict[int, Lease]:
        return {int(row[0]): Lease(row[1], int(row[2]), int(row[3])) for row in await tx.all(_LEASES)}

    return operator.do(lambda context: context.store.read(read))


def not_moved(operator: Operator, before: Mapping[int, Lease]) -> list[str]:
    """Whether partitions of a worker that sleeps are another's now, and its own writes are refused; what is not so.

    Args:
        before: the leases when it went to sleep.
    """
    now = leases(operator)
    alive = set(operator.do(_alive))
    lost = {number: old for number, old in before.items() if old.holder not in alive}
    moved = {number: old for number, old in lost.items() if now[number].holder in alive}
    if not moved:
        return [f"no partition has moved; alive are {alive}, {len(lost)} partitions are the sleeper's"]
    found = [f"partition {n} moved without a new epoch" for n, old in moved.items() if now[n].epoch <= old.epoch]
    for number, old in list(moved.items())[:_TRIED]:
        found += operator.do(lambda context, number=number, old=old: write_as(context, number, old))  # type: ignore[misc]
    return found


async def _alive(context: Context) -> list[str]:
    return [row[0] for row in await context.store.read(lambda tx: tx.all("SELECT holder FROM workers"))]


async def write_as(context: Context, partition: int, lease: Lease) -> list[str]:
    """Do what the sleeper would do next when it wakes: move the cursor on, under the epoch that it knows."""

    async def move(tx: Transaction) -> None:
        await context.log.commit(tx, partition, lease.epoch, lease.position + (1 << 40))
        raise _NotRefused

    try:
        await context.store.write(move)
    except LeaseLost:
        return []
    except _NotRefused:
        return [f"partition {partition} took a write under the epoch {lease.epoch}, which is past"]
    raise AssertionError

"""How many calls were let through in a day of the keys and apps that have a quota: one row each, of all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.store.contract import Transaction

_ADD: Final = """
    INSERT INTO quota_uses (caller, day, calls) VALUES ($1, $2, $3)
    ON CONFLICT (caller, day) DO UPDATE SET calls = quota_uses.calls + excluded.calls RETURNING calls"""
_OF_DAY: Final = "SELECT caller, calls FROM quota_uses WHERE day = $1"
_FORGET: Final = "DELETE FROM quota_uses WHERE day < $1"


async def add(tx: Transaction, day: int, calls: Mapping[bytes, int]) -> dict[bytes, int]:
    """Add what one process has let through since it last said; what all of them have by now."""
    callers = sorted(calls)  # two processes wait for each other's rows in one order
    answers = await tx.each(_ADD, [(caller, day, calls[caller]) for caller in callers])
    return {caller: int(rows[0][0]) for caller, rows in zip(callers, answers, strict=True)}


async def of_day(tx: Transaction, day: int) -> dict[bytes, int]:
    """What all processes have let through on a day."""
    return {bytes(row[0]): int(row[1]) for row in await tx.all(_OF_DAY, day)}


async def forget_before(tx: Transaction, day: int) -> None:
    """What was before that day limits nobody any more."""
    await tx.run(_FORGET, day)

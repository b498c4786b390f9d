"""Reckoning: read the clock for what is to be deleted by it (`domain/reckoning.py`).

A lab's time jumps as whoever calls it likes, and is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.reckoning import Reckoning
from unbroken.store import ledger, reckoning

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


async def reckon(context: Context, *, dry_run: bool = False, trusts_clock: bool = False) -> Reckoning:
    """Read the clock; the time that deleting goes by from now on.

    Args:
        dry_run: only say it.
        trusts_clock: whoever asks has looked at the clock and knows that it is right.
    """
    now_ms = context.clock.now_ms()
    if context.lab:
        return Reckoning(now_ms)

    async def read(tx: Transaction) -> Reckoning:
        return Reckoning(now_ms) if trusts_clock else (await _known(tx, now_ms)).read(now_ms)

    async def note(tx: Transaction) -> Reckoning:
        new = await read(tx)
        await reckoning.put(tx, new)
        return new

    return await (context.store.read(read) if dry_run else context.store.write(note))


async def _known(tx: Transaction, now_ms: int) -> Reckoning:
    """Before the first reading the newest fact says what time it was; where there is none, nothing can be due."""
    return await reckoning.find(tx) or Reckoning(await ledger.newest_at(tx) or now_ms)

"""Reckoning: read the clock for what is to be deleted by it (`domain/reckoning.py`).

A lab's time jumps as whoever calls it likes, and is believed.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unbroken.domain.reckoning import Reckoning
from unbroken.store import audit, ledger, reckoning

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


_BEYOND: Final = 1 << 62
"""Behind every entry of the audit log."""


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
    """Before the first reading the newest thing that was written down says what time it was; where nothing was, now."""
    return await reckoning.find(tx) or Reckoning(await _newest_at(tx) or now_ms)


async def _newest_at(tx: Transaction) -> int:
    """Of the ledger, and of the audit log, where every phone in use is named within three days; 0 where both are empty.

    A newest entry that is damaged says nothing.
    """
    at_ms = await ledger.newest_at(tx)
    for entry in await audit.entries_before(tx, _BEYOND, 1):
        with suppress(ValueError, KeyError, TypeError):
            at_ms = max(at_ms, int(json.loads(entry.content)["at"]))
    return at_ms

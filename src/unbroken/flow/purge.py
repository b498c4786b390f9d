"""Purge: after an erasure no file of the store keeps what its rows do not hold any more (linking.md, law 10).

The receipt of an erasure is marked when that is done. So a purge that a crash, a long read or a large database has put
off is made up for: by the next erasure, or within the hour by the worker (`tidy.py`), which starts with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.store import tombstones
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def purge(context: Context, *, at_once: bool) -> bool:
    """Purge after every erasure that still waits for it; whether none does now.

    Args:
        at_once: also where it takes long, which holds up every write meanwhile (`Store.purge`).
    """
    waiting = await context.store.read(tombstones.unpurged)
    if not waiting:
        return True
    try:
        is_done = await context.store.purge(at_once=at_once)
    except StoreUnavailable:
        return False
    if is_done:
        await context.store.write(lambda tx: tombstones.purged(tx, waiting))
    return is_done

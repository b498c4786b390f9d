"""Purge: after an erasure no file of the store keeps what its rows do not hold any more (linking.md, law 10).

The same after external ids came under another key: the old one may have leaked.

The receipt of an erasure is marked when that is done. So a purge that a crash or a long read has put off is made up
for: by the next erasure, or within the hour by the worker (`tidy.py`), which starts with it. As every call waits
meanwhile, a large database waits for its operator: `unbroken purge`, in a quiet hour.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unbroken.store import resealing, tombstones
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


IN_A_MOMENT_BYTES: Final = 32 << 20
"""A database of this size is written anew in half a second: at once, with every erasure."""

BY_ITSELF_BYTES: Final = 256 << 20
"""Of this size in four: by the worker, at most once an hour."""


async def scrub(context: Context, install_ids: Collection[bytes]) -> None:
    """Leave nothing in the payload log's own files of what an erasure took; what fails, the worker makes up for."""
    with suppress(StoreUnavailable):
        await context.log.scrub(install_ids)


async def purge(context: Context, *, rewrite_up_to_bytes: int | None) -> bool:
    """Purge after every erasure and change of a key that still waits for it; whether none does now (`Store.purge`).

    Raises:
        StoreUnavailable: it cannot be done now, and whoever wants it whatever the size is told why; else it waits.
    """
    waiting = await context.store.read(tombstones.unpurged)
    if not waiting and await context.store.read(resealing.is_purged):
        return True
    try:
        is_done = await context.store.purge(rewrite_up_to_bytes=rewrite_up_to_bytes)
    except StoreUnavailable:
        if rewrite_up_to_bytes is None:
            raise
        return False
    if is_done:
        await context.store.write(lambda tx: _note(tx, waiting))
    return is_done


async def _note(tx: Transaction, receipt_ids: list[bytes]) -> None:
    await tombstones.purged(tx, receipt_ids)
    await resealing.set_purged(tx)

"""Purge: after an erasure no file of the store keeps what its rows do not hold any more (linking.md, law 10).

The receipt of an erasure is marked when that is done. So a purge that a crash or a long read has put off is made up
for: by the next erasure, or within the hour by the worker (`tidy.py`), which starts with it. As every call waits
meanwhile, a large database waits for its operator: `unbroken purge`, in a quiet hour.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unbroken.store import tombstones
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from unbroken.flow.context import Context


IN_A_MOMENT_BYTES: Final = 32 << 20
"""A database of this size is written anew in half a second: at once, with every erasure."""

BY_ITSELF_BYTES: Final = 256 << 20
"""Of this size in four: by the worker, at most once an hour."""


async def scrub(context: Context, install_ids: Collection[bytes]) -> None:
    """Leave nothing in the payload log's own files of what an erasure took; what fails, the worker makes up for."""
    with suppress(StoreUnavailable):
        await context.log.scrub(install_ids)


async def purge(context: Context, *, rewrite_up_to_bytes: int | None) -> bool:
    """Purge after every erasure that still waits for it; whether none does now. See `Store.purge`."""
    waiting = await context.store.read(tombstones.unpurged)
    if not waiting:
        return True
    try:
        is_done = await context.store.purge(rewrite_up_to_bytes=rewrite_up_to_bytes)
    except StoreUnavailable:
        return False
    if is_done:
        await context.store.write(lambda tx: tombstones.purged(tx, waiting))
    return is_done

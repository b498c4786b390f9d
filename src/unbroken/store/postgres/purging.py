"""Purging: what calls have deleted is to be in no file of the tables any more."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from unbroken.store.contract import StoreUnavailable
from unbroken.store.postgres.opening import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE: Final = f"SELECT coalesce(sum(pg_total_relation_size(t.oid)), 0)::bigint FROM ({TABLES}) t"
_TRIES: Final = 100
_PAUSE_S: Final = 0.05
_HELD: Final = "A long read, a standby or another process holds on to the past of the database. Try again later."


async def purge(connection: Any, rewrite_up_to_bytes: int | None) -> bool:
    """See `Store.purge`.

    VACUUM gives the place of a deleted row free, and what stood there stands there until it is used again. Only
    VACUUM FULL writes a table and its indexes into new files, and the old ones go when it ends.
    """
    await connection.execute("SET statement_timeout = 0")
    tables = [name for _, name in await connection.fetch(TABLES)]
    if rewrite_up_to_bytes is not None and await connection.fetchval(_SIZE) > rewrite_up_to_bytes:
        for table in tables:
            await connection.execute(f'VACUUM "{table}"', timeout=None)
        return False
    for table in tables:
        await _rewrite(connection, table)
    return True


async def _rewrite(connection: Any, table: str) -> None:
    """Write a table anew until no row is left in it that was deleted, but that somebody could still see."""
    for _ in range(_TRIES):
        held = 0

        def count(_connection: Any, message: Any) -> None:
            nonlocal held
            held += _rows_held(message)

        with _listening(connection, count):
            await connection.execute(f'VACUUM (FULL, VERBOSE) "{table}"', timeout=None)
        if not held:
            return
        await asyncio.sleep(_PAUSE_S)
    raise StoreUnavailable(_HELD)


def _rows_held(message: Any) -> int:
    """The number in "3 dead row versions cannot be removed yet", in whatever language the server says it."""
    number = re.search(r"\d+", message.detail or "")
    return int(number[0]) if number else 0


class _listening:  # noqa: N801 - used as a function
    def __init__(self, connection: Any, listener: Callable[[Any, Any], None]) -> None:
        self._connection = connection
        self._listener = listener

    def __enter__(self) -> None:
        self._connection.add_log_listener(self._listener)

    def __exit__(self, *_: object) -> None:
        self._connection.remove_log_listener(self._listener)

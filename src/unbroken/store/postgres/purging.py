"""Purging: what calls have deleted is to be in no file of the tables any more."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import asyncpg

from unbroken.store.contract import StoreUnavailable
from unbroken.store.postgres.opening import TABLES

_SIZE: Final = f"SELECT coalesce(sum(pg_total_relation_size(t.oid)), 0)::bigint FROM ({TABLES}) t"
_CLEAR: Final = """
    SELECT pg_clear_attribute_stats(schemaname::text, tablename::text, attname::text, inherited)
    FROM pg_stats WHERE schemaname = current_schema() AND tablename = $1"""
_CLEARS: Final = 18
"""The first PostgreSQL that lets the owner of a table do so."""

_TRIES: Final = 100
_PAUSE_S: Final = 0.05
_FOR_EVER_S: Final = 86_400.0
_LOCK_MS: Final = 1_000
"""How long to wait for a table: whoever wants it meanwhile waits behind us."""

_HELD: Final = "A long read, a standby or another process holds on to the past of the database. Try again later."


async def purge(connection: Any, rewrite_up_to_bytes: int | None) -> bool:
    """See `Store.purge`.

    VACUUM gives the place of a deleted row free, and what stood there stands there until it is used again. Only
    VACUUM FULL writes a table and its indexes into new files, and the old ones go when it ends. What the planner knows
    of a column are values that stood there, metadata and last known places too: so these are taken anew as well.
    """
    if rewrite_up_to_bytes is not None and await connection.fetchval(_SIZE) > rewrite_up_to_bytes:
        return False  # the server's own autovacuum gives the places free
    # a table that is written anew changes nothing that must not be lost, and would be shut while a standby is awaited
    await connection.execute(
        f"SET statement_timeout = 0; SET lock_timeout = {_LOCK_MS}; SET synchronous_commit = local"
    )
    for _, table in await connection.fetch(TABLES):
        await _rewrite(connection, table)
        await _forget_samples(connection, table)
    return True


async def _rewrite(connection: Any, table: str) -> None:
    """Write a table anew until no row is left in it that was deleted, but that somebody could still see."""
    for _ in range(_TRIES):
        held = 0

        def count(_connection: Any, message: Any) -> None:
            nonlocal held
            held += _rows_held(message)

        connection.add_log_listener(count)
        try:
            await connection.execute(f'VACUUM (FULL, ANALYZE, VERBOSE) "{table}"', timeout=_FOR_EVER_S)
        except asyncpg.LockNotAvailableError as error:
            raise StoreUnavailable(_HELD) from error
        finally:
            connection.remove_log_listener(count)
        if not held:
            return
        await asyncio.sleep(_PAUSE_S)
    raise StoreUnavailable(_HELD)


async def _forget_samples(connection: Any, table: str) -> None:
    """Of a table that has become empty ANALYZE keeps the values that it took before."""
    is_filled = await connection.fetchval(f'SELECT 1 FROM "{table}" LIMIT 1')
    if not is_filled and connection.get_server_version().major >= _CLEARS:
        await connection.execute(_CLEAR, table)


def _rows_held(message: Any) -> int:
    """The number in "3 dead row versions cannot be removed yet", in whatever language the server says it."""
    number = re.search(r"\d+", message.detail or "")
    return int(number[0]) if number else 0

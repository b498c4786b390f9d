"""Opening: whether a database can be a store, and what it lacks of its tables."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from unbroken.store import migrate
from unbroken.store.contract import StoreRefused
from unbroken.store.postgres.commit import Unsure, commit
from unbroken.store.postgres.primary import takes_writes
from unbroken.store.postgres.writer import BEGIN
from unbroken.store.whereabouts import refuse_elsewhere

if TYPE_CHECKING:
    from collections.abc import Sequence

OLDEST: Final = 15
"""The first PostgreSQL that is tested."""

_TABLE_LOCK_MS: Final = 500
_ASIDE_S: Final = 0.5
_TRIES: Final = 60
"""A minute of half seconds in which the others have the tables, and half seconds in which they wait."""

_FACTS: Final = """
    SELECT current_schema(), current_setting('server_encoding'), current_setting('fsync')"""
TABLES: Final = """
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname"""
"""Those of the schema, without those of extensions."""

_SYNCED: Final = frozenset({"on", "remote_apply"})


async def prepare(connection: Any, known: Sequence[migrate.Migration] | None, place: str, *, commit_s: float) -> None:
    """Bring the database up to date, all in one transaction: whoever opens it at the same time waits.

    With None in the place of migrations only what holds for every database is asked.

    Args:
        commit_s: how long to wait for the standbys, where migrations have changed something.

    Raises:
        StoreRefused: it cannot be a store, and what to do.
        Exception: as PostgreSQL says it.
    """
    await _refuse_unfit(connection, place)
    if known is None:
        return
    if await _is_up_to_date(connection, known, place):
        return  # without the lock, which somebody may hold who waits for a standby: so reads can begin
    await be_durable(connection)
    await _migrate(connection, known, place)
    try:
        await commit(connection, has_written=True, limit_s=commit_s)
    except Unsure as unsure:
        raise StoreRefused(f"The tables of {place} were changed, but perhaps not on its standbys ({unsure}).") from None


async def _migrate(connection: Any, known: Sequence[migrate.Migration], place: str) -> None:
    """Change the tables in a transaction that is left open.

    A change that waits for a table makes everybody wait who comes after it, reads too. So it waits for a moment only,
    and where somebody has the table for longer it steps aside, and tries again.
    """
    for tries_left in reversed(range(_TRIES)):
        await connection.execute(BEGIN)
        try:
            await connection.execute(f"SET LOCAL lock_timeout = {_TABLE_LOCK_MS}")
            await _apply(connection, known, place)
        except asyncpg.LockNotAvailableError:
            await connection.execute("ROLLBACK")
            if not tries_left:
                raise
            await asyncio.sleep(_ASIDE_S)
        else:
            return


async def _apply(connection: Any, known: Sequence[migrate.Migration], place: str) -> None:
    await _refuse_elsewhere(connection, place)
    await connection.execute(migrate.VERSION_TABLE)
    for migration in migrate.pending(known, await _applied(connection)):
        for statement in migration.statements(migrate.POSTGRESQL):
            await connection.execute(statement)
        row = migration.applied
        await connection.execute(migrate.RECORD, row.version, row.name, row.checksum)


async def be_durable(connection: Any) -> None:
    """What a COMMIT has answered is on the disk, and the standbys', whatever the server's settings say, or will."""
    said = await connection.fetchval("SELECT current_setting('synchronous_commit')")
    await connection.execute(f"SET synchronous_commit = {said if said in _SYNCED else 'on'}")


async def _refuse_unfit(connection: Any, place: str) -> None:
    major = connection.get_server_version().major
    if major < OLDEST:
        raise StoreRefused(f"{place} is PostgreSQL {major}. Use PostgreSQL {OLDEST} or newer.")
    schema, encoding, fsync = await connection.fetchrow(_FACTS)
    if not takes_writes(connection):
        raise StoreRefused(
            f"{place} is set to only read. Name the primary, or set default_transaction_read_only = off."
        )
    if encoding != "UTF8":
        raise StoreRefused(
            f"{place} keeps text as {encoding}. Create a database for Unbroken: createdb --encoding=UTF8 "
            "--template=template0 NAME."
        )
    if schema is None:
        raise StoreRefused(f"{place} has no schema to make tables in. Create one, or set the account's search_path.")
    if fsync != "on":
        raise StoreRefused(
            f"The server of {place} runs with fsync off: what it has acknowledged is lost with the power. "
            "Set fsync = on in postgresql.conf."
        )


async def _refuse_elsewhere(connection: Any, place: str) -> None:
    refuse_elsewhere({name for _, name in await connection.fetch(TABLES)}, place)


async def _is_up_to_date(connection: Any, known: Sequence[migrate.Migration], place: str) -> bool:
    await _refuse_elsewhere(connection, place)
    try:
        return not migrate.pending(known, await _applied(connection))
    except asyncpg.UndefinedTableError:
        return False


async def _applied(connection: Any) -> list[migrate.Applied]:
    return [migrate.Applied(*row) for row in await connection.fetch(migrate.APPLIED)]

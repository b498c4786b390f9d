"""The store of one database and several processes. See `unbroken.store.contract` for what it promises."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import asyncpg

from unbroken.store import migrate, resealing
from unbroken.store.contract import Call, StoreRefused, StoreUnavailable
from unbroken.store.long_reads import CLOSED, LongReads
from unbroken.store.postgres import opening, purging
from unbroken.store.postgres.bell import Bell
from unbroken.store.postgres.connection import Limits, Url
from unbroken.store.postgres.reader import EVERY_APP, only_read
from unbroken.store.postgres.readers import LongReader, Readers
from unbroken.store.postgres.trouble import refusal, trouble
from unbroken.store.postgres.writer import Writer, close
from unbroken.store.sealed import Keyed
from unbroken.store.whereabouts import name_missing_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.sealing import KeyRing

T = TypeVar("T")

_READERS: Final = 8
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
"""Between the attempts to reach the server again; then whoever waits is told, and the next one tries anew."""

_AWAITED_S: Final = 4.0
"""No attempt begins later: where nothing answers at all, each takes as long as `Limits.connect_s`."""

_CATALOGUE: Final = f"""
    SELECT t.relname, a.attname FROM ({opening.TABLES}) t JOIN pg_attribute a ON a.attrelid = t.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY t.relname, a.attnum"""
_CONTENT: Final = (
    "CASE WHEN pg_typeof({column}) = 'bytea'::regtype THEN decode(substr({column}::text, 3), 'hex')"
    " ELSE convert_to({column}::text, 'UTF8') END"
)
"""The bytes of a column of any type; as text, PostgreSQL writes bytes in hex behind two characters."""


class PostgresStore:
    """A `Store` in a PostgreSQL database. Made by `open`, and used in the event loop that did."""

    def __init__(self, url: Url, limits: Limits) -> None:
        self._url = url
        self._keys: KeyRing | None = None
        self._limits = limits
        self._bell = Bell(self._connect, limits.poll_s)
        self._writer = Writer(self._connect_for_writing, ring=self._bell.ring, limits=limits)
        self._readers = Readers(self._connect_for_reading, _READERS)
        self._app_id = EVERY_APP
        self._is_behind = False
        self._long = LongReads(lambda: LongReader(self._connect_for_long))
        self._watch: asyncio.Task[None] | None = None
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        keys: KeyRing | None = None,
        migrations: Sequence[migrate.Migration] | None = None,
        limits: Limits | None = None,
        as_it_is: bool = False,
    ) -> Self:
        """Open the database at `url` and bring it up to date.

        Args:
            url: postgresql://ACCOUNT:PASSWORD@HOST:PORT/DATABASE, with any option of the server's sessions after a ?;
                several HOST:PORT with a comma between them are a primary and its standbys, whichever is which.
            keys: see `use_keys`.
            migrations: instead of those that ship with Unbroken.
            limits: how long things may take.
            as_it_is: for a move: change nothing, and open also one that is not in use (`whereabouts`).

        Raises:
            StoreRefused: with a sentence that says what to do, and without the password.
        """
        known = migrate.packaged(migrate.POSTGRESQL) if migrations is None else migrations
        store = cls(Url(url), limits or Limits())
        await store._prepare(None if as_it_is else known)
        store._watch = asyncio.create_task(store._url.keep_watch(store._limits))
        try:
            if keys is not None:
                await store.use_keys(keys)
        except BaseException:
            await store.close()
            raise
        return store

    async def _prepare(self, known: Sequence[migrate.Migration] | None) -> None:
        place = self._url.place
        try:
            connection = await self._url.connect(self._limits, is_long=True)
            try:
                await opening.prepare(connection, known, place, commit_s=self._limits.long_commit_s)
            finally:
                await close(connection)
        except StoreRefused:
            raise
        except Exception as error:
            raise refusal(error, place) from error

    async def use_keys(self, keys: KeyRing) -> None:
        """From here on calls can name external ids, which are sealed under these keys; what is in clear yet is sealed.

        Raises:
            StoreUnavailable: they are sealed under others, or cannot be sealed now.
        """
        self._keys = keys
        await resealing.seal_all(self)

    async def write(self, call: Call[T]) -> T:
        """See `Store.write`."""
        try:
            return await self._writer.write(Keyed(call, self._keys), behind=self._is_behind)
        except asyncpg.UndefinedTableError as error:
            raise await self._named(error) from error

    async def read(self, call: Call[T]) -> T:
        """See `Store.read`."""
        try:
            return await self._readers.run(Keyed(call, self._keys), self._app_id)
        except asyncpg.UndefinedTableError as error:
            raise await self._named(error) from error

    async def read_long(self, call: Call[T]) -> T:
        """See `Store.read_long`."""
        keyed = Keyed(call, self._keys)
        try:
            return await self._long.run(lambda reader: reader.run(keyed, self._app_id))
        except asyncpg.UndefinedTableError as error:
            raise await self._named(error) from error

    def of_app(self, app_id: bytes) -> Self:
        """See `Store.of_app`."""
        view = copy(self)
        view._app_id = app_id  # noqa: SLF001 - its own
        return view

    @property
    def groups_again(self) -> int:
        """See `Store.groups_again`."""
        return self._writer.again

    def behind(self) -> Self:
        """See `Store.behind`."""
        view = copy(self)
        view._is_behind = True  # noqa: SLF001 - its own
        return view

    async def woken(self) -> None:
        """See `Store.woken`."""
        await self._bell.wait()

    async def _named(self, error: asyncpg.UndefinedTableError) -> Exception:
        """A table that is not there was moved away, or is a mistake in the statement."""
        return name_missing_table(error, await self.catalogue())

    async def purge(self, *, rewrite_up_to_bytes: int | None) -> bool:
        """See `Store.purge`. Every table is written anew with its indexes; the server's own log is the server's."""
        if self._is_closed:
            raise StoreUnavailable(CLOSED)
        connection = await self._connect(is_long=True)
        try:
            return await purging.purge(connection, rewrite_up_to_bytes)
        except StoreUnavailable:
            raise
        except asyncpg.UndefinedTableError as error:
            raise await self._named(error) from error
        except Exception as error:
            raise trouble(error) from error
        finally:
            await close(connection)

    async def catalogue(self) -> dict[str, list[str]]:
        """See `Store.catalogue`. Those of the schema that Unbroken has."""
        tables: dict[str, list[str]] = {}
        for table, column in await self.read(lambda tx: tx.all(_CATALOGUE)):
            tables.setdefault(table, []).append(column)
        return tables

    async def count_rows(self, table: str, column: str, needle: bytes, *, is_whole: bool) -> int:
        """See `Store.count_rows`."""
        content = _CONTENT.format(column=column)
        found = f"{content} = $1" if is_whole else f"position($1 IN {content}) > 0"
        row = await self.read_long(lambda tx: tx.one(f"SELECT count(*) FROM {table} WHERE {found}", needle))
        return int(row[0]) if row else 0

    async def close(self) -> None:
        """See `Store.close`. A long read that still runs is broken off."""
        self._is_closed = True
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        await self._long.close()
        await self._writer.stop()
        await self._bell.stop()
        await self._readers.close()

    async def _connect(self, *, is_long: bool = False) -> Any:
        try:
            return await self._url.connect(self._limits, is_long=is_long)
        except Exception as error:
            named = trouble(error)
            if not isinstance(named, StoreUnavailable):
                named = StoreUnavailable(f"The database cannot be reached ({error}).")
            raise named from error

    async def _connect_for_reading(self, *, is_long: bool = False) -> Any:
        connection = await self._connect(is_long=is_long)
        try:
            await only_read(connection)
        except Exception as error:
            connection.terminate()
            raise StoreUnavailable(str(trouble(error))) from error
        return connection

    async def _connect_for_long(self) -> Any:
        return await self._connect_for_reading(is_long=True)

    async def _connect_for_writing(self) -> Any:
        """A connection whose COMMIT waits for the disk; a server that is being started again is waited for."""
        until = time.monotonic() + _AWAITED_S
        for pause_s in (*_PAUSES_S, None):
            try:
                connection = await self._connect()
                try:
                    await opening.be_durable(connection)
                except Exception as error:
                    connection.terminate()
                    raise StoreUnavailable(str(trouble(error))) from error
            except StoreUnavailable:
                if pause_s is None or self._is_closed or time.monotonic() > until:
                    raise
                await asyncio.sleep(pause_s)
            else:
                return connection
        raise AssertionError

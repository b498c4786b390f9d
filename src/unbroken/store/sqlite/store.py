"""The store of a single machine. See `unbroken.store.contract` for what it promises and `writer` for how it writes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from unbroken.store import migrate, resealing
from unbroken.store.contract import Call, CallRefused, StoreRefused, StoreUnavailable
from unbroken.store.long_reads import CLOSED, LongReads
from unbroken.store.sealed import Keyed
from unbroken.store.sql import positional
from unbroken.store.sqlite.connection import OLDEST, connect, make_file, refusal, trouble
from unbroken.store.sqlite.transaction import SqliteTransaction
from unbroken.store.sqlite.turn import Turn
from unbroken.store.sqlite.writer import Writer
from unbroken.store.whereabouts import name_missing_table, refuse_elsewhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.sealing import KeyRing

T = TypeVar("T")

_BUSY_TIMEOUT_S: Final = 5.0
_READ_BUSY_TIMEOUT_S: Final = 0.25  # a read waits on the event loop, and only while another process recovers the log
_LOG_TRIES: Final = 100
_LOG_PAUSE_S: Final = 0.05
_LOOK_EVERY_S: Final = 0.2
_CATALOGUE: Final = (
    "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"
    " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_stat%' ORDER BY t.name, c.cid"
)


class SqliteStore:
    """A `Store` in one SQLite file. Made by `open`."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._keys: KeyRing | None = None
        self._writer = writer
        self._reader: _Reader | None = None
        self._long = LongReads(partial(_Reader, path))
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        keys: KeyRing | None = None,
        migrations: Sequence[migrate.Migration] | None = None,
        busy_timeout_s: float = _BUSY_TIMEOUT_S,
        as_it_is: bool = False,
    ) -> Self:
        """Open the database in the file `path` and bring it up to date.

        Args:
            path: the file; made with its directory, for its owner only, if it is not there.
            keys: see `use_keys`.
            migrations: instead of those that ship with Unbroken.
            busy_timeout_s: how long a write waits for another process that writes.
            as_it_is: for a move: change nothing, and open also one that is not in use (`whereabouts`).

        Raises:
            StoreRefused: with a sentence that says what to do.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100, ASYNC240 - asks nothing but the working directory
        known = migrate.packaged() if migrations is None else migrations
        writer = Writer(partial(_open_for_writing, path, None if as_it_is else known, busy_timeout_s))
        await writer.start()
        store = cls(path, writer)
        try:
            if keys is not None:
                await store.use_keys(keys)
        except BaseException:
            await store.close()
            raise
        return store

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
            return await self._writer.write(Keyed(call, self._keys))
        except sqlite3.OperationalError as error:
            raise await self._named(error) from error

    async def read(self, call: Call[T]) -> T:
        """See `Store.read`."""
        self._refuse_if_closed()
        if self._reader is None:
            self._reader = _Reader(self._path)
        try:
            return self._reader.run(Keyed(call, self._keys))
        except sqlite3.OperationalError as error:
            raise await self._named(error) from error

    async def read_long(self, call: Call[T]) -> T:
        """See `Store.read_long`."""
        keyed = Keyed(call, self._keys)
        try:
            return await self._long.run(lambda reader: reader.run(keyed))
        except sqlite3.OperationalError as error:
            raise await self._named(error) from error

    def of_app(self, app_id: bytes) -> Self:  # noqa: ARG002
        """See `Store.of_app`. The engine cannot hide rows."""
        return self

    @property
    def groups_again(self) -> int:
        """See `Store.groups_again`: here each call can be taken back alone from the first."""
        return 0

    def behind(self) -> Self:
        """See `Store.behind`. No call waits for the statements of another for long: there is no way to a server."""
        return self

    async def woken(self) -> None:
        """See `Store.woken`. Who writes to the file makes no sound, but a look into it costs next to nothing."""
        await asyncio.sleep(_LOOK_EVERY_S)

    async def _named(self, error: sqlite3.OperationalError) -> Exception:
        """A table that is not there was moved away, or is a mistake in the statement."""
        if not str(error).startswith("no such table"):
            return error
        return name_missing_table(error, await self.catalogue())

    async def purge(self, *, rewrite_up_to_bytes: int | None) -> bool:
        """See `Store.purge`. The write-ahead log is emptied into the file and cut; then the file is written anew."""
        self._refuse_if_closed()
        await self._empty_log()
        if rewrite_up_to_bytes is not None and await self._writer.outside(_size_bytes) > rewrite_up_to_bytes:
            return False
        await self._writer.outside(_rewrite)
        await self._empty_log()
        return True

    async def _empty_log(self) -> None:
        """Try until no read is under way that needs the log; each try is over at once, so nobody waits for it."""
        for _ in range(_LOG_TRIES):
            if await self._writer.outside(_cut_log):
                return
            await asyncio.sleep(_LOG_PAUSE_S)
        raise StoreUnavailable("A long read, or another process, holds on to the database's log. Try again later.")

    async def catalogue(self) -> dict[str, list[str]]:
        """See `Store.catalogue`."""
        rows = await self.read(lambda tx: tx.all(_CATALOGUE))
        tables: dict[str, list[str]] = {}
        for table, column in rows:
            tables.setdefault(table, []).append(column)
        return tables

    async def count_rows(self, table: str, column: str, needle: bytes, *, is_whole: bool) -> int:
        """See `Store.count_rows`."""
        content = f"CAST({column} AS BLOB)"
        found = f"{content} = $1" if is_whole else f"instr({content}, $1) > 0"
        row = await self.read_long(lambda tx: tx.one(f"SELECT count(*) FROM {table} WHERE {found}", needle))
        return int(row[0]) if row else 0

    async def close(self) -> None:
        """See `Store.close`. A long read that still runs is broken off."""
        self._closed = True
        await self._long.close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        await self._writer.stop()  # the last to close, so that it is the writer who empties the log into the file

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable(CLOSED)


class _Reader:
    """One connection that only reads."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = connect(path, busy_timeout_s=_READ_BUSY_TIMEOUT_S, writes=False)
        except sqlite3.Error as error:
            raise trouble(error) from error
        self._cursor = self._connection.cursor()

    def run(self, call: Call[T]) -> T:
        """Run `call` on one snapshot."""
        self._cursor.execute("BEGIN")  # the snapshot is taken by the first statement
        transaction = SqliteTransaction(self._cursor)
        try:
            answer = transaction.run_call(call)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, sqlite3.Error) and _is_attempt_to_write(error.__cause__):
                raise CallRefused("A read may not write.") from error
            raise
        else:
            if transaction.noted:
                raise CallRefused("A read may not write.")
            return answer
        finally:
            if self._connection.in_transaction:
                self._cursor.execute("ROLLBACK")  # there is nothing to commit, and COMMIT fails on a damaged file

    def interrupt(self) -> None:
        """Break off the statement that runs, if one does; from any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the file; a statement that an error still holds on to would keep it open."""
        self._cursor.close()
        self._connection.close()


def _is_attempt_to_write(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode == sqlite3.SQLITE_READONLY


def _open_for_writing(
    path: Path, known: Sequence[migrate.Migration] | None, busy_timeout_s: float
) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreRefused(f"SQLite {sqlite3.sqlite_version} is too old. Use a Python with SQLite 3.35 or newer.")
    if known is not None:
        make_file(path)
    try:
        connection = connect(path, busy_timeout_s=busy_timeout_s, writes=True)
        try:
            if known is not None:
                _bring_up_to_date(connection, known, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise refusal(error, path) from error
    return connection


def _cut_log(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log into the file and cut it to nothing, unless somebody still reads from it."""
    (timeout_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")
    return not is_busy


def _size_bytes(connection: sqlite3.Connection) -> int:
    (pages,), (page_bytes,) = (connection.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    return int(pages * page_bytes)


def _rewrite(connection: sqlite3.Connection) -> None:
    """Write every page anew. Deleted rows are zeros already, but a page that was split keeps old keys in its gap."""
    connection.execute("VACUUM")


def _bring_up_to_date(connection: sqlite3.Connection, known: Sequence[migrate.Migration], path: Path) -> None:
    """Apply what the database lacks, each migration in a transaction of its own.

    What is lacking is asked anew each time, as another process may do the same. The last of the transactions finds
    that nothing is: it is taken even so, because it tells now whether the file can be written.
    """
    turn = Turn(connection)
    try:
        turn.begin(connection.cursor())
        refuse_elsewhere(_tables(connection), str(path))
        connection.execute(migrate.VERSION_TABLE)
        connection.execute("DELETE FROM schema_migrations WHERE FALSE")  # BEGIN alone is content with a read-only file
        while lacking := migrate.pending(known, _applied(connection)):
            _apply(connection, lacking[0])
            connection.execute("COMMIT")
            turn.begin(connection.cursor())
        connection.execute("COMMIT")
    finally:
        turn.give_back()


def _apply(connection: sqlite3.Connection, migration: migrate.Migration) -> None:
    for statement in migration.statements(migrate.SQLITE):
        connection.execute(statement)
    row = migration.applied
    connection.execute(positional(migrate.RECORD).text, (row.version, row.name, row.checksum))


def _applied(connection: sqlite3.Connection) -> list[migrate.Applied]:
    return [migrate.Applied(*row) for row in connection.execute(migrate.APPLIED).fetchall()]


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}

"""SQLite's part of a move (`store/movable.py`)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from unbroken.store.movable import HeldTransaction, Shape, shape
from unbroken.store.sqlite.connection import connect, make_file, trouble
from unbroken.store.sqlite.store import SqliteStore
from unbroken.store.sqlite.transaction import SqliteTransaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from unbroken.store.contract import Call, Transaction

T = TypeVar("T")

_PATIENCE_S: Final = 30.0
"""How long to wait for a moment without a writer: SQLite has no queue, and a busy server leaves few."""

_COLUMNS: Final = (
    "SELECT t.name, c.name, c.type = 'BOOLEAN', c.pk = 1 AND t.sql LIKE '%AUTOINCREMENT%', nullif(c.pk, 0)"
    " FROM sqlite_master t, pragma_table_info(t.name) c"
    " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid"
)


class MovableSqlite:
    """A `Movable` in one SQLite file."""

    overriding: Final = ""

    def __init__(self, store: SqliteStore, path: Path) -> None:
        self.store = store
        self.place = str(path)
        self._path = path

    @classmethod
    async def open(cls, path: Path, *, make: bool = False) -> Self:
        """Open what is in the file `path`; an empty file is an empty database.

        Args:
            path: the file.
            make: make an empty one where there is none.

        Raises:
            StoreRefused: with a sentence that says what to do.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100, ASYNC240 - asks nothing but the working directory
        if make:
            make_file(path)
        return cls(await SqliteStore.open(path, as_it_is=True), path)

    async def make_tables(self) -> None:
        """See `Movable.make_tables`."""
        await (await SqliteStore.open(self._path)).close()

    async def shapes(self, tx: Transaction) -> list[Shape]:
        """See `Movable.shapes`."""
        rows = await tx.all(_COLUMNS)
        return [
            shape(
                name,
                [(column, bool(is_truth), bool(is_counted), place) for _, column, is_truth, is_counted, place in of],
            )
            for name, of in groupby(rows, key=lambda row: row[0])
        ]

    async def counted(self, tx: Transaction, table: Shape) -> int:
        """See `Movable.counted`."""
        row = await tx.one("SELECT seq FROM sqlite_sequence WHERE name = $1", table.name)
        return int(row[0]) if row else 0

    async def count_from(self, tx: Transaction, table: Shape, number: int) -> None:
        """See `Movable.count_from`."""
        await tx.run("DELETE FROM sqlite_sequence WHERE name = $1", table.name)
        await tx.run("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)", table.name, number)

    async def get_to_know(self, tx: Transaction, tables: Sequence[Shape]) -> None:
        """Nothing: the indexes are chosen by what the statements say."""

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[Transaction]:
        """See `Movable.standing_still`."""
        held = _Held(self._path)
        try:
            await held.begin()
            yield HeldTransaction(held.run)
            await held.commit()
        finally:
            held.end()


class _Held:
    """A write transaction on a connection and in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "unbroken-standing-still")
        self._connection: sqlite3.Connection | None = None

    async def begin(self) -> None:
        await self._in_thread(self._begin)

    def _begin(self) -> None:
        self._connection = connect(self._path, busy_timeout_s=_PATIENCE_S, writes=True)
        self._connection.execute("BEGIN IMMEDIATE")

    async def commit(self) -> None:
        await self._in_thread(lambda: self._open.execute("COMMIT"))

    def end(self) -> None:
        """Close; what was not committed is taken back by that."""
        if self._connection is not None:
            self._thread.submit(self._connection.close)
        self._thread.shutdown()

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise trouble(error) from error

    async def run(self, call: Call[T]) -> T:
        return await self._in_thread(lambda: SqliteTransaction(self._open.cursor()).run_call(call))

"""Turn: to write, among the processes that have the file open.

SQLite has no queue, and whoever waits by its means asks ten times a second: beside a server that has work all the time
a command would hardly ever find the moment between two of its transactions. So we ask for ourselves.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from unbroken.store.sqlite.connection import primary_code

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASK_AGAIN_MS: Final = 2
"""How long SQLite waits before we ask again."""


class Turn:
    """See the module.

    Args:
        connection: one that writes; its `busy_timeout` says how long to wait.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        (self._patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        self._wait_by_sqlite(_ASK_AGAIN_MS)

    def begin(self, cursor: sqlite3.Cursor) -> None:
        """Begin a transaction that writes.

        Raises:
            sqlite3.OperationalError: another process writes, for longer than the connection's patience; or any other.
        """
        until_s = time.monotonic() + self._patience_ms / 1000
        while not self._is_begun(cursor, is_last=time.monotonic() >= until_s):
            pass  # SQLite has waited a moment

    def give_back(self) -> None:
        """Leave the connection as it was."""
        self._wait_by_sqlite(self._patience_ms)

    @contextmanager
    def by_sqlite(self) -> Iterator[sqlite3.Connection]:
        """Let SQLite wait meanwhile, for what is no transaction."""
        self._wait_by_sqlite(self._patience_ms)
        try:
            yield self._connection
        finally:
            self._wait_by_sqlite(_ASK_AGAIN_MS)

    def _wait_by_sqlite(self, for_ms: int) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {for_ms}")

    def _is_begun(self, cursor: sqlite3.Cursor, *, is_last: bool) -> bool:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_last or primary_code(error) != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

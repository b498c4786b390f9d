"""People who are there already: rows of the database, as many as wanted, written in bulk.

One person registers, is linked and uploads for real; all others are copies of every row that this left, with ids of
their own. The n-th has the same ids in every run.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from bench import calls
from unbroken import wire
from unbroken.domain.ids import InstallId, UserId
from unbroken.server.data_directory import DATABASE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.subject import Platform

DAY_MS: Final = 86_400_000
AGE_MS: Final = 4 * DAY_MS
"""How long ago they registered."""

_ROWS_AT_ONCE: Final = 50_000
_DIGEST_BYTES: Final = 32
_KEY_CHARACTERS: Final = 36  # of an idempotency key
_HOUR_MS: Final = 3_600_000
_ACCOUNT: Final = "the first"
_ANSWERS: Final = "idempotency"
"""Kept for a day only; of no matter to those who registered days ago."""

Change = tuple[int, "Callable[[int], Any]"]
"""A column by its number, and what stands there in the row of the n-th person."""


def install_id(number: int) -> InstallId:
    """The id of the n-th install."""
    return InstallId(_id("install", number))


def user_id(number: int) -> UserId:
    """The id of the user of the n-th install."""
    return UserId(_id("user", number))


def _id(kind: str, number: int) -> bytes:
    """Like a real one, which begins with the second of its making: so they come in order."""
    return (1_700_000_000 + number // 10).to_bytes(4, "big") + _digest(kind, number)[:8]


def _digest(kind: str, number: int) -> bytes:
    return hashlib.blake2b(f"{kind}:{number}".encode(), digest_size=_DIGEST_BYTES).digest()


class Population:
    """The people of one platform, which must not run while people are added."""

    def __init__(self, platform: Platform, now_ms: int) -> None:
        self._path = platform.data / DATABASE_FILE
        self._now_ms = now_ms
        self._first = _FirstPerson(platform, now_ms)
        self.size = 0

    @property
    def registered_at(self) -> int:
        """When they registered."""
        return self._now_ms - AGE_MS

    def grow(self, size: int) -> None:
        """Add people until there are so many, and forget what waits to be processed: each size starts alike."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA cache_size = -262144")
            for table in ("log_records", "due"):
                database.execute(f"DELETE FROM {table}")
            for first in range(self.size, size, _ROWS_AT_ONCE):
                database.execute("BEGIN")
                for row in self._first.rows(database):
                    database.executemany(row.insert, row.copies(first, min(first + _ROWS_AT_ONCE, size)))
                database.execute("COMMIT")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.size = size


class _Row:
    """A row of the first person, and how to make one of somebody else of it."""

    def __init__(self, table: str, names: Sequence[str], values: Sequence[Any], changes: Sequence[Change]) -> None:
        places = ", ".join("?" * len(names))
        self.insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
        self._values = list(values)
        self._changes = changes

    def copies(self, first: int, end: int) -> Iterator[list[Any]]:
        """The rows of the people from number `first` to before `end`."""
        for number in range(first, end):
            row = self._values.copy()
            for column, make in self._changes:
                row[column] = make(number)
            yield row


class _FirstPerson:
    """Registers, is linked to an account and uploads; the platform must not run yet."""

    def __init__(self, platform: Platform, now_ms: int) -> None:
        self._now_ms = now_ms
        with platform.running():
            (reply,) = platform.send(calls.registrations(platform.app_id, platform.app_secret, 1, now_ms), 201)
            self._registered = wire.decode(reply, wire.Registered)
            link = calls.link(platform.api_key, self._registered.install_id, _ACCOUNT, now_ms)
            (reply,) = platform.send([link], 200)
            self._link_id = wire.decode(reply, wire.Linked).link_id
            # captured before the install was there, so that no time is hidden in what was computed of it
            upload = calls.upload(self._registered.user_token.token, calls.walk(now_ms - _HOUR_MS), now_ms)
            platform.send([upload], 202)
            platform.settle()

    def rows(self, database: sqlite3.Connection) -> list[_Row]:
        """Every row that tells of this person."""
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return [row for (table,) in tables if table != _ANSWERS for row in self._rows_of(database, table)]

    def _rows_of(self, database: sqlite3.Connection, table: str) -> Iterator[_Row]:
        names = [
            name
            for _, name, kind, _, _, is_key in database.execute(f"PRAGMA table_info({table})").fetchall()
            if not (is_key and kind == "INTEGER")  # SQLite counts these by itself
        ]
        ours = self._ids()
        wanted = " OR ".join(f"{name} IN ({', '.join('?' * len(ours))})" for name in names)
        values = database.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {wanted}", [*ours] * len(names))
        for row in values.fetchall():
            yield _Row(table, names, row, [change for n, value in enumerate(row) for change in self._change(n, value)])

    def _ids(self) -> dict[bytes | str, Callable[[int], Any]]:
        """What names this person, and what it is for the n-th."""
        return {
            bytes.fromhex(self._registered.install_id): install_id,
            bytes.fromhex(self._registered.user_id): user_id,
            bytes.fromhex(self._link_id): lambda number: _id("link", number),
            _ACCOUNT: lambda number: f"stored-{number}",
        }

    def _change(self, column: int, value: Any) -> Iterator[Change]:
        match value:
            case bytes() | str() if value in self._ids():
                yield column, self._ids()[value]
            case bytes() if len(value) == _DIGEST_BYTES:  # of a secret: another one for each
                yield column, lambda number: _digest("secret", number)
            case str() if len(value) == _KEY_CHARACTERS:
                yield column, lambda number: _digest("key", number).hex()[:_KEY_CHARACTERS]
            case int() if abs(value - self._now_ms) < 2 * _HOUR_MS:
                yield column, lambda _: value - AGE_MS

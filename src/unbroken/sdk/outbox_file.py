"""The file of the outbox: its tables, whose it is, and what becomes of one that is damaged: it gets another name.

What waited in it may still be had from it by hand (`sqlite3 FILE .recover`); the SDK guesses nothing from it.
"""

from __future__ import annotations

import os
import sqlite3
from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_ENDS: Final = ("-wal", "-shm", "")
"""The database last: killed in between, what is left is damaged still, and set aside by the next start."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS open_items (seq INTEGER PRIMARY KEY, install_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS payloads (seq INTEGER PRIMARY KEY, payload_id TEXT NOT NULL UNIQUE, install_id TEXT NOT NULL,
    items INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (seq INTEGER PRIMARY KEY, install_id TEXT NOT NULL, payload_id TEXT,
    items INTEGER NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS traffic (at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY: Final = 0xFF
"""Of SQLite's extended error codes."""


def open_file(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made where there is none.

    Raises:
        sqlite3.Error: it is damaged, or cannot be opened.
        OSError: the disk refuses.
    """
    _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what SQLite wrote. A disk that refuses, or somebody who holds the file, is no damage."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGE


def is_held(error: sqlite3.Error) -> bool:
    """Whether another process holds the file."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def set_aside(path: Path) -> Path:
    """Give the file another name; which one.

    Raises:
        OSError: the disk refuses.
    """
    names = (path.with_name(f"{path.stem}.damaged-{number}{path.suffix}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    for file in _files(path):
        file.rename(aside.with_name(file.name.replace(path.name, aside.name)))
    return aside


def remove_set_aside(path: Path) -> None:
    """Remove what was set aside: it is of somebody that this device is no longer.

    Raises:
        OSError: the disk refuses.
    """
    for file in path.parent.glob(f"{path.stem}.damaged-*"):
        file.unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    """The owner's alone before SQLite writes a byte: it gives its `-wal` and `-shm` the mode of the database."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    for file in _files(path):
        file.chmod(0o600)


def _files(path: Path) -> list[Path]:
    return [file for end in _ENDS if (file := path.with_name(path.name + end)).exists()]

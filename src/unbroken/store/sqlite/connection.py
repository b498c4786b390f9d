"""How the file is opened, and what SQLite's errors mean to the one who operates it."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from unbroken.store.contract import ConstraintViolation, StoreRefused, StoreUnavailable, UniqueViolation

if TYPE_CHECKING:
    from pathlib import Path

OLDEST: Final = (3, 35, 0)
"""The first SQLite with RETURNING."""

_CHECKPOINT_PAGES: Final = 16_000
"""How far the write-ahead log grows (64 MB) before a COMMIT empties it into the file. Each time the calls of one group
wait for that: seldom enough to stay out of the 99th percentile, and a page that changed often is written once."""

_RETRY_PERIOD_S: Final = 0.01


def connect(path: Path, *, busy_timeout_s: float, writes: bool) -> sqlite3.Connection:
    """A connection to the database in `path`; its transactions begin and end by statements, never by themselves.

    Args:
        path: the file, absolute. It must be there, see `make_file`.
        busy_timeout_s: how long a statement waits for another process.
        writes: False for one that only reads. Such a connection may be handed from thread to thread.

    Raises:
        sqlite3.Error: as SQLite says it; see `refusal` and `trouble`.
    """
    modern: dict[str, Any] = {"autocommit": True} if sys.version_info >= (3, 12) else {}
    connection: sqlite3.Connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",  # one that is gone is not made again behind the back of the others
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=writes,
        cached_statements=512,
        **modern,
    )
    try:
        _set_up(connection, busy_timeout_s=busy_timeout_s, writes=writes)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, *, busy_timeout_s: float, writes: bool) -> None:
    if writes:
        _use_wal(connection, busy_timeout_s)
        connection.execute("PRAGMA synchronous = FULL")  # the log is on the disk when COMMIT returns
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what was deleted is overwritten (linking.md, law 10)
        connection.execute("PRAGMA cache_size = -16384")  # KiB
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    else:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -4096")


def _use_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Switch to the write-ahead log. SQLite does not wait for other processes here, so we do."""
    until = time.monotonic() + busy_timeout_s
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_RETRY_PERIOD_S)
        else:
            break
    if mode != "wal":
        raise StoreRefused("This file system cannot share memory between processes. Put the data on a local disk.")


def make_file(path: Path) -> None:
    """Make an empty file that only its owner can read, and its directory, where they are not there yet.

    An existing file is not touched: closing a descriptor of it would drop the locks this process holds on it.

    Raises:
        StoreRefused: there cannot be a file.
    """
    if path.is_dir():
        raise StoreRefused(f"{path} is a directory. Name the file in which the database is to be kept.")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreRefused(f"{path.parent} is not a directory. Name another place, or move what is there.") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise StoreRefused(
            f"{path} cannot be made ({reason}). Make {path.parent} writable for this account, or name another place."
        ) from error


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for an error of the Python module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def refusal(error: sqlite3.Error, path: Path) -> StoreRefused:
    """What stands in the way of opening `path`."""
    advice = _ADVICE.get(primary_code(error), "Look at the file, or name another one.")
    return StoreRefused(f"{path} cannot be opened ({error}). {advice}")


def trouble(error: sqlite3.Error) -> Exception:
    """The contract's name for an error met in a call; a mistake in the statement stays SQLite's own error."""
    if primary_code(error) == sqlite3.SQLITE_CONSTRAINT:
        return _violation(error)
    advice = _ADVICE.get(primary_code(error))
    return error if advice is None else StoreUnavailable(f"The database cannot do this now ({error}). {advice}")


def _violation(error: sqlite3.Error) -> ConstraintViolation:
    found = re.search(r"constraint failed: (\w+)\.", str(error))
    kind = UniqueViolation if error.sqlite_errorcode in _UNIQUE else ConstraintViolation
    return kind(str(error), found[1] if found else "")


_UNIQUE: Final = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
}
_LOCKED: Final = "Another process holds the database. Wait for it or end it, then try again."
_DAMAGED: Final = "The file is damaged or is no database. Keep it aside and restore a backup."
_UNREACHABLE: Final = "Make the file and its directory readable and writable for this account."
_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "The disk is full. Free some space; until then nothing is stored.",
    sqlite3.SQLITE_IOERR: "The disk failed or is full. Look at its free space and at the system's log.",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_READONLY: _UNREACHABLE,
    sqlite3.SQLITE_CANTOPEN: _UNREACHABLE,
    sqlite3.SQLITE_PERM: _UNREACHABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_NOMEM: "There is not enough memory.",
    sqlite3.SQLITE_INTERRUPT: "The store is closing.",
}

"""The rows of an engine's database, for who fills it in bulk or looks what waits; the platform may not run meanwhile.

The n-th person is made of every row that the first has left, with other values in some columns. Each such value can be
made in two ways, which agree: by Python for SQLite, and by an expression of `n` for PostgreSQL.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import asyncpg

from unbroken.testing.postgres import run_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_ROWS_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class Made:
    """A value of the n-th person.

    Args:
        python: n to the value.
        sql: the same as an expression of `n`.
    """

    python: Callable[[int], Any]
    sql: str


def digest(kind: str) -> Made:
    """32 bytes that look like chance."""
    return Made(lambda number: _sha256(kind, number), _sql_sha256(kind))


def digest_in_order(kind: str) -> Made:
    """The same after a millisecond, as the key of a registration is kept: so they come in order."""
    return Made(
        lambda number: (1_700_000_000_000 + number * 100).to_bytes(6, "big") + _sha256(kind, number),
        f"substring(int8send(1700000000000 + n * 100) FROM 3) || {_sql_sha256(kind)}",
    )


def id_of(kind: str) -> Made:
    """An id, which begins with the second of its making as a real one does: so they come in order."""
    return Made(
        lambda number: (1_700_000_000 + number // 10).to_bytes(4, "big") + _sha256(kind, number)[:8],
        f"int4send((1700000000 + n / 10)::int4) || substring({_sql_sha256(kind)} FOR 8)",
    )


def sealed(length: int) -> Made:
    """Like an external id as it is sealed; nothing opens it."""
    kind = f"sealed {length}"
    return Made(
        lambda number: f"s1.{(_sha256(kind, number).hex() * 2)[: length - 3]}",
        f"'s1.' || left(repeat(encode({_sql_sha256(kind)}, 'hex'), 2), {length - 3})",
    )


def always(value: Any) -> Made:
    """The same for everybody, and another one than the first has."""
    return Made(lambda _: value, str(value))


def _sha256(kind: str, number: int) -> bytes:
    return hashlib.sha256(f"{kind}:{number}".encode()).digest()


def _sql_sha256(kind: str) -> str:
    return f"sha256(convert_to('{kind}:' || n, 'UTF8'))"


@dataclass(frozen=True, slots=True)
class Template:
    """A row of the first person, and what differs in that of somebody else."""

    table: str
    names: Sequence[str]
    values: Sequence[Any]
    made: dict[int, Made]

    def copies(self, first: int, end: int) -> Iterator[list[Any]]:
        """The rows of the people from number `first` to before `end`."""
        for number in range(first, end):
            row = list(self.values)
            for column, made in self.made.items():
                row[column] = made.python(number)
            yield row


class Rows(Protocol):
    """What a population asks of a database."""

    def mentioning(self, values: Sequence[bytes | str]) -> list[tuple[str, list[str], tuple[Any, ...]]]:
        """Each row with one of these in any column: its table, and its columns but those that count by themselves."""
        ...

    def fill(self, templates: Sequence[Template], first: int, end: int) -> None:
        """Write the rows of so many people, and forget what waits to be processed."""
        ...

    def backlog(self) -> tuple[int, int]:
        """How many uploads wait to be kept, and how many timelines to be computed."""
        ...


class SqliteRows:
    """Of the embedded engine.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def mentioning(self, values: Sequence[bytes | str]) -> list[tuple[str, list[str], tuple[Any, ...]]]:
        """See `Rows`."""
        found = []
        with closing(sqlite3.connect(self._path)) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = database.execute(f"PRAGMA table_info({table})").fetchall()
                # SQLite counts a key of integers by itself
                names = [name for _, name, kind, _, _, is_key in columns if not (is_key and kind == "INTEGER")]
                wanted = " OR ".join(f"{name} IN ({', '.join('?' * len(values))})" for name in names)
                rows = database.execute(
                    f"SELECT {', '.join(names)} FROM {table} WHERE {wanted}", [*values] * len(names)
                )
                found += [(table, names, row) for row in rows.fetchall()]
        return found

    def fill(self, templates: Sequence[Template], first: int, end: int) -> None:
        """See `Rows`."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA cache_size = -262144")
            for table in ("log_records", "due"):
                database.execute(f"DELETE FROM {table}")
            for begin in range(first, end, _ROWS_AT_ONCE):
                database.execute("BEGIN")
                for one in templates:
                    places = ", ".join("?" * len(one.names))
                    insert = f"INSERT INTO {one.table} ({', '.join(one.names)}) VALUES ({places})"
                    database.executemany(insert, one.copies(begin, min(begin + _ROWS_AT_ONCE, end)))
                database.execute("COMMIT")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _sync(self._path)

    def backlog(self) -> tuple[int, int]:
        """See `Rows`; while the platform runs."""
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as database:
            (uploads,) = database.execute("SELECT count(*) FROM log_records").fetchone()
            (timelines,) = database.execute("SELECT count(*) FROM due").fetchone()
        return uploads, timelines


def _sync(path: Path) -> None:
    """Wait until the disk has what was written without a sync: the first checkpoint of whoever is measured would."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class PostgresRows:
    """Of the engine on PostgreSQL.

    Args:
        url: of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def mentioning(self, values: Sequence[bytes | str]) -> list[tuple[str, list[str], tuple[Any, ...]]]:
        """See `Rows`."""
        return run_apart(_mentioning(self._url, values))  # type: ignore[no-any-return]

    def fill(self, templates: Sequence[Template], first: int, end: int) -> None:
        """See `Rows`. No sync is waited for.

        What so many rows leave to autovacuum is done at once: it would fall into the first calls, and these rows come
        over months.
        """
        run_apart(_fill(self._url, templates, first, end))

    def backlog(self) -> tuple[int, int]:
        """See `Rows`; while the platform runs."""
        return run_apart(_backlog(self._url))  # type: ignore[no-any-return]


_COLUMNS: Final = """
    SELECT c.relname, a.attname, a.atttypid = 'bytea'::regtype, a.atttypid = 'text'::regtype
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' ORDER BY c.relname, a.attnum"""


async def _mentioning(url: str, values: Sequence[bytes | str]) -> list[tuple[str, list[str], tuple[Any, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        tables: dict[str, list[tuple[str, bool, bool]]] = {}
        for table, *column in await connection.fetch(_COLUMNS):
            tables.setdefault(table, []).append(tuple(column))
        blobs = [value for value in values if isinstance(value, bytes)]
        texts = [value for value in values if isinstance(value, str)]
        found = []
        for table, columns in tables.items():
            wanted = [f"{name} = ANY($1)" for name, is_bytes, _ in columns if is_bytes]
            wanted += [f"{name} = ANY($2)" for name, _, is_text in columns if is_text]
            asked = f"SELECT {', '.join(name for name, *_ in columns)} FROM {table}"
            asked += f" WHERE ($1::bytea[] IS NULL OR $2::text[] IS NULL OR {' OR '.join(wanted or ['false'])})"
            rows = await connection.fetch(asked, blobs, texts)
            found += [(table, [name for name, *_ in columns], tuple(row)) for row in rows]
        return found
    finally:
        await connection.close()


async def _fill(url: str, templates: Sequence[Template], first: int, end: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET synchronous_commit = off")
        for table in ("log_records", "due"):
            await connection.execute(f"DELETE FROM {table}")
        for one in templates:
            await connection.execute(_insert(one), *_constants(one), first, end - 1)
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _constants(one: Template) -> list[Any]:
    return [value for column, value in enumerate(one.values) if column not in one.made]


def _insert(one: Template) -> str:
    """One statement for all copies of a row: what is the same in all are its parameters, then come the bounds of n."""
    said, count = [], 0
    for column in range(len(one.names)):
        if column in one.made:
            said.append(one.made[column].sql)
        else:
            count += 1
            said.append(f"${count}")
    return (
        f"INSERT INTO {one.table} ({', '.join(one.names)}) SELECT {', '.join(said)}"
        f" FROM generate_series(${count + 1}::bigint, ${count + 2}::bigint) n"
    )


async def _backlog(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        uploads = await connection.fetchval("SELECT count(*) FROM log_records")
        return uploads, await connection.fetchval("SELECT count(*) FROM due")
    finally:
        await connection.close()

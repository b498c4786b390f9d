"""Numbered migrations: which there are, which a database still lacks, and which database is not ours to touch.

A migration is one SQL file, `NNNN_name.sql`, written once for both databases with the tokens of `Dialect`; what only
one of them has stands in `NNNN_name.DIALECT.sql` and follows it. A migration is applied in one transaction together
with its row in `schema_migrations`, and never changed afterwards. Nothing here talks to a database; each engine
applies what `pending` answers.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from unbroken.store.contract import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.resources.abc import Traversable

_FILE_NAME: Final = re.compile(r"(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")

VERSION_TABLE: Final = """CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    CONSTRAINT schema_migrations_pk PRIMARY KEY (version)
)"""
APPLIED: Final = "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
RECORD: Final = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a database calls the things that differ.

    Args:
        name: in the name of a file with what only this database has.
        identity: `{identity}`, an integer primary key that the database counts up itself.
        without_rowid: `{without_rowid}`, after the closing bracket of a table that is read by its primary key only.
        text: the type TEXT, ordered by its bytes: an order that depends on the machine's language would not be
            Python's, and other after an upgrade of the machine.
    """

    name: str
    identity: str
    without_rowid: str
    text: str

    def say(self, text: str) -> str:
        """`text` with its tokens replaced."""
        said = text.replace("{identity}", self.identity).replace("{without_rowid}", self.without_rowid)
        return re.sub(r"\bTEXT\b", self.text, said)


SQLITE: Final = Dialect("sqlite", "INTEGER PRIMARY KEY AUTOINCREMENT", "WITHOUT ROWID", "TEXT")
POSTGRESQL: Final = Dialect("postgresql", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "", 'TEXT COLLATE "C"')


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of `schema_migrations`."""

    version: int
    name: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    text: str

    @property
    def applied(self) -> Applied:
        """The row that says this migration was applied. The checksum is over the text as written, tokens and all."""
        return Applied(self.version, self.name, sha256(self.text.encode()).hexdigest())

    def statements(self, dialect: Dialect) -> list[str]:
        """The single statements, each up to the semicolon that ends it."""
        found: list[str] = []
        begun = ""
        for part in re.split("(?<=;)", dialect.say(self.text)):
            begun += part
            if sqlite3.complete_statement(begun):  # knows quotes, comments and the body of a trigger
                found.append(begun.strip())
                begun = ""
        if any(not line.startswith("--") for line in begun.split("\n") if line.strip()):
            raise ValueError(f"Migration {self.version:04} does not end with a semicolon.")
        return found


def packaged(dialect: Dialect = SQLITE) -> list[Migration]:
    """The migrations that ship with this version of Unbroken, with what only `dialect` has."""
    return load(files("unbroken.store") / "migrations", dialect)


def load(folder: Traversable, dialect: Dialect = SQLITE) -> list[Migration]:
    """The migrations in `folder`, in the order of their numbers; other files are ignored.

    Raises:
        ValueError: two have the same number.
    """
    found = []
    for file in folder.iterdir():
        if (name := _FILE_NAME.fullmatch(file.name)) is not None:
            text = _read(file)
            own = folder / file.name.replace(".sql", f".{dialect.name}.sql")
            if own.is_file():
                text += _read(own)
            found.append(Migration(int(name["version"]), name["name"], text))
    found.sort(key=lambda migration: migration.version)
    if len({migration.version for migration in found}) != len(found):
        raise ValueError("Two migrations have the same number.")
    return found


def _read(file: Traversable) -> str:
    """A checkout may turn the line ends of a text file; that is no change of the migration."""
    return file.read_text(encoding="utf-8").replace("\r\n", "\n")


def pending(known: Sequence[Migration], applied: Iterable[Applied]) -> list[Migration]:
    """What a database still lacks, in order.

    Raises:
        StoreRefused: the database was written by a newer version, or by one whose migrations were not these.
    """
    by_version = {migration.version: migration for migration in known}
    done = set()
    for row in applied:
        migration = by_version.get(row.version)
        if migration is None:
            raise StoreRefused(_NEWER.format(version=row.version, newest=max(by_version, default=0)))
        if migration.applied.checksum != row.checksum:
            raise StoreRefused(_CHANGED.format(version=row.version, name=row.name))
        done.add(row.version)
    return [migration for migration in known if migration.version not in done]


_NEWER: Final = (
    "The database has schema version {version}, this version of Unbroken knows {newest} at most. "
    "Install the newer version again, or restore a backup made before the upgrade."
)
_CHANGED: Final = (
    "Migration {version:04}_{name} of this version of Unbroken is not the one that the database was made with. "
    "Install the version that made it, or restore a backup that fits this one."
)

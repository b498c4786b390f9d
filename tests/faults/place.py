"""Places: where a platform's database is, on either engine, and copies of it, so that each of many is killed over one.

On PostgreSQL a place is a database of its own, and a copy is made of it as of a template.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from unbroken.store.postgres import PostgresStore
from unbroken.store.sqlite import SqliteStore
from unbroken.testing import in_process
from unbroken.testing.in_process import KEY_RING
from unbroken.testing.postgres import run_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.store.contract import Store

SQLITE = "sqlite"
POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class Place:
    """One platform's.

    Args:
        root: a directory of the test's own.
        name: of a directory in it, where the file is on SQLite; of the database, behind what tells the root.
        server: the URL of a database from which others can be created; none for SQLite.
    """

    root: Path
    name: str
    server: str = ""

    @property
    def engine(self) -> str:
        """Which."""
        return POSTGRES if self.server else SQLITE

    @property
    def directory(self) -> Path:
        """Of its own, on either engine."""
        return self.root / self.name

    @property
    def file(self) -> Path:
        """On SQLite."""
        return self.directory / "unbroken.db"

    @property
    def words(self) -> list[str]:
        """How another process is told of it; see `told`."""
        return [str(self.root), self.name, self.server]

    def beside(self, name: str) -> Place:
        """Another one of the same test, on the same engine."""
        return replace(self, name=name)

    async def open(self) -> Store:
        """The store there."""
        if self.server:
            return await PostgresStore.open(self._url, keys=KEY_RING)
        return await SqliteStore.open(self.file, keys=KEY_RING)

    def make(self) -> None:
        """Have it there, empty, if it is not there."""
        self.directory.mkdir(exist_ok=True)
        if self.server:
            with suppress(asyncpg.DuplicateDatabaseError):
                self._ask(f"CREATE DATABASE {self._database} TEMPLATE template0 ENCODING 'UTF8'")

    def copy(self, name: str) -> Place:
        """The same beside it; nobody may have it open."""
        copy = self.beside(name)
        shutil.copytree(self.directory, copy.directory)
        if self.server:
            self._ask(f"CREATE DATABASE {copy._database} TEMPLATE {self._database}")
        return copy

    def drop_all(self) -> None:
        """Throw it away, and whatever is beside it."""
        found = self._ask("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", self._of_root)
        for (name,) in found:
            self._ask(f"DROP DATABASE {name} WITH (FORCE)")

    @property
    def _of_root(self) -> str:
        return f"unbroken_{hashlib.sha256(str(self.root).encode()).hexdigest()[:8]}_"

    @property
    def _database(self) -> str:
        return self._of_root + self.name.replace("-", "_")

    @property
    def _url(self) -> str:
        return f"{self.server.rpartition('/')[0]}/{self._database}"

    def _ask(self, statement: str, *values: str) -> Any:
        return run_apart(_ask(self.server, statement, *values))


def told(words: list[str]) -> tuple[Place, list[str]]:
    """The place that a process was told of by its first words, and the rest of them."""
    return Place(Path(words[0]), words[1], words[2]), words[3:]


@contextmanager
def places(root: Path, server: str) -> Iterator[Place]:
    """The first place of a test; a platform in this process is on it where it is in its directory."""
    place = Place(root, "built", server)

    async def open_store(directory: Path) -> Store:
        its = Place(directory.parent, directory.name, server)
        await asyncio.to_thread(its.make)
        return await its.open()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(in_process, "open_store", open_store)
        try:
            yield place
        finally:
            if server:
                place.drop_all()


async def _ask(url: str, statement: str, *values: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()

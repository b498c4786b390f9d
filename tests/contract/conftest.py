"""The engines. A suite asks for `store` or `reopen` and never learns which engine it runs on."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unbroken.store.contract import Store, Transaction
from unbroken.store.migrate import Migration, load, packaged
from unbroken.store.postgres import PostgresStore
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from unbroken.testing.postgres import Schemas

Open = Callable[[], Awaitable[Store]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def migrations() -> list[Migration]:
    """The tables of the suites, then the real ones of the log."""
    return [*load(Path(__file__).parent / "migrations"), *(m for m in packaged() if m.name == "log")]


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one and the same database, as often as it is called."""
    if request.param == "sqlite":
        return lambda: SqliteStore.open(tmp_path / "data" / "unbroken.db", migrations=migrations())
    schemas: Schemas = request.getfixturevalue("schemas")
    url = schemas.create()
    return lambda: PostgresStore.open(url, migrations=migrations())


@pytest.fixture
async def reopen(opener: Open) -> AsyncIterator[Open]:
    """As `opener`, and everything it opened is closed at the end."""
    opened: list[Store] = []

    async def open_one() -> Store:
        opened.append(await opener())
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(reopen: Open) -> Store:
    return await reopen()


class Gate:
    """A call that stands in the way of all others until it is let go: what is asked meanwhile waits together.

    It awaits nothing but its own transaction, again and again, so it stands on every engine: in a thread of its own
    on SQLite, between two turns of the event loop on PostgreSQL.
    """

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def __call__(self, tx: Transaction) -> None:
        self.entered.set()
        until = time.monotonic() + 30
        while not self.opened.wait(0.001):
            assert time.monotonic() < until
            await tx.one("SELECT 1")


@pytest.fixture
def gate() -> Gate:
    return Gate()

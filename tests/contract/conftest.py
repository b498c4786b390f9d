"""The engines. A suite asks for `store` or `reopen` and never learns which engine it runs on."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unbroken.log.contract import PayloadLog
from unbroken.log.embedded import EmbeddedLog
from unbroken.log.jetstream import JetStreamLog
from unbroken.log.jetstream.stream import Wanted
from unbroken.randomness import SystemRandomness
from unbroken.store.contract import Store, Transaction
from unbroken.store.migrate import Migration, load, packaged
from unbroken.store.postgres import PostgresStore
from unbroken.store.sqlite import SqliteStore
from unbroken.testing.nats import delete_stream, replicas_at

if TYPE_CHECKING:
    from unbroken.testing.postgres import Schemas

Open = Callable[[], Awaitable[Store]]
OpenLog = Callable[..., Awaitable[PayloadLog]]


def migrations() -> list[Migration]:
    """The tables of the suites, then the real ones of the log."""
    return [*load(Path(__file__).parent / "migrations"), *(m for m in packaged() if m.name.startswith("log"))]


LOGS = ("embedded on sqlite", "embedded on postgres", "jetstream on postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a log runs on every log, with the engine that belongs to it; every other one on every engine."""
    if "log" in metafunc.fixturenames and "counted" not in metafunc.fixturenames:
        metafunc.parametrize("engine", LOGS, indirect=True)
    elif "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """What the suite runs on."""
    return str(request.param)


@pytest.fixture
def opener(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Open:
    """Opens one and the same database, as often as it is called."""
    if engine.endswith("sqlite"):
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


@pytest.fixture
async def reopen_log(request: pytest.FixtureRequest, engine: str, reopen: Open) -> AsyncIterator[OpenLog]:
    """Opens one and the same log, on a store of its own each time, and closes it at the end."""
    opened: list[PayloadLog] = []
    nats_url = request.getfixturevalue("nats_url") if engine.startswith("jetstream") else ""
    name = f"test-{SystemRandomness().secret(6).hex()}"

    async def open_one(store: Store | None = None) -> PayloadLog:
        opened.append(await _open_log(store or await reopen(), nats_url, name))
        return opened[-1]

    yield open_one
    for log in opened:
        await log.close()
    if nats_url:
        await delete_stream(nats_url, name)


async def _open_log(store: Store, nats_url: str, name: str) -> PayloadLog:
    if not nats_url:
        return EmbeddedLog(store)
    mark = SystemRandomness().secret(6).hex()
    return await JetStreamLog.open(store, nats_url, Wanted(name, replicas_at(nats_url), 64 << 20), mark)


@pytest.fixture
async def log(reopen_log: OpenLog, store: Store) -> PayloadLog:
    return await reopen_log(store)


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

"""The host of the database is gone without a word: no connection is ended by it, and nothing is answered any more.

A statement may take half a minute and a long one ten: nobody waits so long for a host that is not there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.faults.cut import wire_to
from tests.faults.matrix.namespaces import Network
from tests.faults.test_postgres_faults import MIGRATIONS, add, names

from unbroken.store.contract import StoreUnavailable
from unbroken.store.postgres import PostgresStore, connection
from unbroken.store.postgres.connection import Limits
from unbroken.testing.member import Site
from unbroken.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.store.contract import Transaction
    from unbroken.testing.postgres import Schemas

pytestmark = pytest.mark.anyio

SOON = Limits(statement_s=0.2)
FAR_BELOW_A_STATEMENT_S = 25.0


@pytest.fixture
def url(schemas: Schemas) -> str:
    return schemas.create()


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(["db"]) as network:
        yield network


async def test_a_host_that_is_gone_is_noticed_long_before_a_statement_may_take(network: Network) -> None:
    site = Site(host=network.address("db"), prefix=network.prefix("db"))
    with PostgresServer(site) as server:
        store = await PostgresStore.open(server.url(), migrations=MIGRATIONS)
        await store.write(add("before"))
        await asyncio.gather(*[names(store) for _ in range(5)], store.read_long(_one))
        network.unplug("db")
        async with asyncio.timeout(FAR_BELOW_A_STATEMENT_S):
            answers = await asyncio.gather(
                store.read_long(_one), store.read(_one), store.write(add("after")), return_exceptions=True
            )
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
        await store.close()


async def _one(tx: Transaction) -> Any:
    return await tx.one("SELECT 1")


async def test_a_group_whose_connection_fell_silent_says_nothing_more_on_it_and_is_run_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    async def execute(self: Any, query: str, *values: Any, real: Any = asyncpg.Connection.execute, **how: Any) -> Any:
        said.append(query)
        return await real(self, query, *values, **how)

    monkeypatch.setattr(connection, "_SLACK_S", 0.5)
    monkeypatch.setattr(asyncpg.Connection, "execute", execute)
    async with wire_to(url) as wire, asyncio.timeout(30):
        store = await PostgresStore.open(wire.url, migrations=MIGRATIONS, limits=SOON)
        tries = 0

        async def call(tx: Transaction) -> int:
            nonlocal tries
            tries += 1
            await tx.run("INSERT INTO things (name, number) VALUES ('a', 1)")
            if tries == 1:
                wire.fall_silent()
            return await tx.run("UPDATE things SET number = number + 1")

        assert await store.write(call) == 1
        assert tries == 2
        assert b"UPDATE" in wire.unheard
        assert "ROLLBACK" not in said
        assert await store.read(lambda tx: tx.one("SELECT number FROM things")) == (2,)
        await store.close()


async def test_a_read_that_found_silence_tries_no_other_connection_of_that_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SLACK_S", 0.5)
    async with wire_to(url) as wire, asyncio.timeout(30):
        store = await PostgresStore.open(wire.url, migrations=MIGRATIONS, limits=SOON)
        await asyncio.gather(*[store.read(lambda tx: tx.one("SELECT pg_sleep(0.1)")) for _ in range(4)])
        idle = [one.connection for one in store._readers._idle]
        assert len(idle) == 4
        wire.fall_silent()

        assert await names(store) == []

        # what a read says first: its one statement, or BEGIN where it is not known yet to have one only
        assert wire.unheard.count(b"SELECT name FROM things") + wire.unheard.count(b"BEGIN") == 1
        assert all(one.is_closed() for one in idle)
        await store.close()

"""A read asks the server no more often than it must, and on one snapshot whatever it asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.store.contract import CallRefused, Transaction
from unbroken.store.migrate import Migration
from unbroken.store.postgres import PostgresStore
from unbroken.store.postgres.connection import Url

if TYPE_CHECKING:
    from unbroken.testing.postgres import Schemas

MIGRATIONS = [Migration(1, "numbers", "CREATE TABLE numbers (n BIGINT); INSERT INTO numbers VALUES (1);")]
NUMBER = "SELECT n FROM numbers"
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the connections were told since the last of them was opened for reading."""
    statements: list[str] = []
    connect = Url.connect

    def hear(record: Any) -> None:
        statements.append(record.query)
        if record.query.startswith("SET default_transaction"):
            statements.clear()

    async def connect_and_listen(*args: Any, **settings: Any) -> Any:
        connection = await connect(*args, **settings)
        connection.add_query_logger(hear)
        return connection

    monkeypatch.setattr(Url, "connect", connect_and_listen)
    return statements


def on(schemas: Schemas, story: Any) -> Any:
    async def main() -> Any:
        store = await PostgresStore.open(schemas.create(), migrations=MIGRATIONS)
        try:
            return await story(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_a_call_that_had_one_statement_goes_to_the_server_once_from_then_on(schemas, told):
    async def story(store: PostgresStore) -> None:
        for _ in range(3):
            assert await store.read(lambda tx: tx.one(NUMBER)) == (1,)

    on(schemas, story)
    assert told == [BEGIN, NUMBER, "ROLLBACK", NUMBER, NUMBER]


def test_one_that_asks_for_a_second_after_all_is_run_again_in_a_transaction(schemas, told):
    wanted = 1

    async def call(tx: Transaction) -> list[Any]:
        return [await tx.one(NUMBER) for _ in range(wanted)]

    async def story(store: PostgresStore) -> None:
        nonlocal wanted
        for wanted in (1, 1, 2, 2, 1, 1):
            assert await store.read(call) == [(1,)] * wanted

    on(schemas, story)
    in_one = [BEGIN, NUMBER, "ROLLBACK"]
    in_two = [BEGIN, NUMBER, NUMBER, "ROLLBACK"]
    assert told == [*in_one, NUMBER, NUMBER, *in_two, *in_two, *in_one, NUMBER]


def test_what_it_asks_the_second_time_is_of_the_same_moment_as_the_first(schemas):
    wanted = 1

    async def story(store: PostgresStore) -> None:
        nonlocal wanted
        asked, changed = asyncio.Event(), asyncio.Event()

        async def look(tx: Transaction) -> list[Any]:
            found = [await tx.one(NUMBER)]
            if wanted == 2:
                asked.set()
                await tx.elsewhere(changed.wait)
                found.append(await tx.one(NUMBER))
            return found

        await store.read(look)
        wanted = 2
        looking = asyncio.create_task(store.read(look))
        await asyncio.wait_for(asked.wait(), 30)
        await store.write(lambda tx: tx.run("UPDATE numbers SET n = 2"))
        changed.set()
        first, second = await asyncio.wait_for(looking, 30)
        assert first == second

    on(schemas, story)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM numbers", "WITH gone AS (DELETE FROM numbers RETURNING n) SELECT n FROM gone"]
)
def test_a_read_may_not_write_with_a_transaction_or_without_one(schemas, statement):
    asked = NUMBER

    async def call(tx: Transaction) -> list[Any]:
        return await tx.all(asked)

    async def story(store: PostgresStore) -> None:
        nonlocal asked
        await store.read(call)
        asked = statement
        for _ in range(2):
            with pytest.raises(CallRefused, match="may not write"):
                await store.read(call)
        asked = NUMBER
        assert await store.read(call) == [(1,)]

    on(schemas, story)


def test_a_url_that_looks_for_a_primary_finds_it_for_reads_too(schemas):
    async def main() -> Any:
        url = f"{schemas.create()}&target_session_attrs=read-write"
        store = await PostgresStore.open(url, migrations=MIGRATIONS)
        try:
            return [await read(lambda tx: tx.one(NUMBER)) for read in (store.read, store.read_long)]
        finally:
            await store.close()

    assert asyncio.run(main()) == [(1,), (1,)]

"""What a move needs of an engine (`unbroken.store.movable`), on every engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from unbroken.store import moves, table_rows
from unbroken.store.contract import StoreDeparted, StoreRefused, StoreUnavailable
from unbroken.store.moves import Mark, Role
from unbroken.store.postgres import PostgresStore
from unbroken.store.postgres.connection import Limits
from unbroken.store.postgres.moving import MovablePostgres
from unbroken.store.sqlite import SqliteStore
from unbroken.store.sqlite.moving import MovableSqlite
from unbroken.store.whereabouts import ARRIVING, DEPARTED, SIGN, Whereabouts, whereabouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from unbroken.store.contract import Store, Transaction
    from unbroken.store.movable import Movable, Shape

pytestmark = pytest.mark.anyio

ADD_FACT = (
    "INSERT INTO facts (app_id, fact_id, at, kind, fields, actor, is_hidden) VALUES ($1, $1, 1, 'k', '{}', 'a', TRUE)"
    " RETURNING position"
)
COUNT_FACTS = "SELECT count(*) FROM facts"


class Database:
    """One database, opened for a move, and as a server opens it."""

    def __init__(self, movable: Movable, open_as_server: Callable[[], Awaitable[Store]]) -> None:
        self.movable = movable
        self.open_as_server = open_as_server

    async def shapes(self) -> dict[str, Shape]:
        return {one.name: one for one in await self.movable.store.read(self.movable.shapes)}

    async def rename(self, before: str, after: str) -> None:
        names = [name.removeprefix(before) for name in await self.shapes()]
        await self.movable.store.write(lambda tx: moves.rename(tx, names, before, after))


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    movable: Movable
    if request.param == "sqlite":
        path = tmp_path / "unbroken.db"
        movable = await MovableSqlite.open(path, make=True)
        made = Database(movable, lambda: SqliteStore.open(path, busy_timeout_s=60))
    else:
        url = request.getfixturevalue("schemas").create()
        movable = await MovablePostgres.open(url)
        made = Database(movable, lambda: PostgresStore.open(url, limits=Limits(lock_s=60)))
    yield made
    await movable.store.close()


@pytest.fixture
async def filled(database: Database) -> Database:
    await database.movable.make_tables()
    return database


async def test_an_empty_database_is_left_empty_by_opening_it(database: Database) -> None:
    assert await database.shapes() == {}
    assert whereabouts(await database.movable.store.catalogue()) is Whereabouts.EMPTY


async def test_shapes_tell_keys_truths_and_counters(filled: Database) -> None:
    shapes = await filled.shapes()
    assert whereabouts(shapes) is Whereabouts.HERE
    assert shapes["spans"].key == ("install_id", "from_ms")
    assert shapes["facts"].counter == "position"
    assert shapes["facts"].truths == {"is_hidden"}
    assert shapes["users"].counter is None
    assert all(shape.key for shape in shapes.values())
    assert {"installs", "payloads", SIGN} <= shapes.keys()


async def test_rows_are_read_from_key_to_key_and_come_back_as_they_were(filled: Database) -> None:
    shape = (await filled.shapes())["facts"]
    store = filled.movable.store
    for number in range(5):
        await store.write(lambda tx, n=number: tx.one(ADD_FACT, b"app-%08d" % n))
    rows = await store.read_long(lambda tx: table_rows.between(tx, shape, None, None))
    some = await store.read_long(lambda tx: table_rows.between(tx, shape, (1,), (4,), 2))
    assert [row[0] for row in some] == [2, 3]
    assert {type(row[shape.all.index("is_hidden")]) for row in rows} == {int}

    async def again(tx: Transaction) -> None:
        await table_rows.take_away(tx, shape, [(row[0],) for row in rows])
        await table_rows.add(tx, shape, filled.movable.overriding, rows)

    await store.write(again)
    assert await store.read_long(lambda tx: table_rows.between(tx, shape, None, None)) == rows


async def test_a_counter_goes_on_behind_numbers_of_rows_that_are_gone(filled: Database) -> None:
    shape, store = (await filled.shapes())["facts"], filled.movable.store
    assert await store.read(lambda tx: filled.movable.counted(tx, shape)) == 0
    await store.write(lambda tx: filled.movable.count_from(tx, shape, 41))
    assert await store.write(lambda tx: tx.one(ADD_FACT, b"app-00000001")) == (42,)
    await store.write(lambda tx: tx.run("DELETE FROM facts"))
    assert await store.read(lambda tx: filled.movable.counted(tx, shape)) == 42


async def test_beside_a_transaction_that_stands_still_others_read_and_nobody_writes(filled: Database) -> None:
    server = await filled.open_as_server()
    try:
        async with filled.movable.standing_still() as tx:
            waiting = asyncio.ensure_future(server.write(lambda tx: tx.one(ADD_FACT, b"app-00000002")))
            for _ in range(3):
                assert await server.read(lambda tx: tx.one(COUNT_FACTS)) == (0,)
            assert not waiting.done()
            assert await tx.one(ADD_FACT, b"app-00000001") == (1,)
        assert await waiting == (2,)
    finally:
        await server.close()


async def test_what_stood_still_and_failed_is_taken_back(filled: Database) -> None:
    async def fail() -> None:
        async with filled.movable.standing_still() as tx:
            await tx.run('ALTER TABLE "facts" RENAME TO "departed_facts"')
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await filled.movable.store.write(lambda tx: tx.one(ADD_FACT, b"app-00000001")) == (1,)


@pytest.mark.parametrize(("prefix", "reason"), [(DEPARTED, "moved away from"), (ARRIVING, "has not ended")])
async def test_no_server_opens_a_database_that_is_not_in_use(filled: Database, prefix: str, reason: str) -> None:
    await filled.rename("", prefix)
    with pytest.raises(StoreRefused, match=reason):
        await filled.open_as_server()


@pytest.mark.parametrize(("prefix", "reason"), [(DEPARTED, "was moved to another"), (ARRIVING, "being moved to this")])
async def test_a_server_that_was_there_before_is_told_so_by_every_call(
    filled: Database, prefix: str, reason: str
) -> None:
    server = await filled.open_as_server()
    try:
        assert await server.read(lambda tx: tx.one(COUNT_FACTS)) == (0,)
        await filled.rename("", prefix)
        for call in (server.read, server.read_long):
            with pytest.raises(StoreDeparted, match=reason):
                await call(lambda tx: tx.one(COUNT_FACTS))
        with pytest.raises(StoreUnavailable, match=reason):
            await server.write(lambda tx: tx.one(ADD_FACT, b"app-00000001"))
        await filled.rename(prefix, "")
        assert await server.read(lambda tx: tx.one(COUNT_FACTS)) == (0,)
    finally:
        await server.close()


async def test_the_mark_is_the_one_that_was_put_last(filled: Database) -> None:
    store = filled.movable.store
    first = Mark(b"m" * 12, Role.FILLING, b"r" * 8, "/var/lib/unbroken", receipts=3)
    for mark in (first, Mark(b"n" * 12, Role.FILLED, b"s" * 8, "postgresql://host/db", receipts=0)):
        await store.write(moves.make)
        await store.write(lambda tx, mark=mark: moves.put(tx, mark))
        assert await store.read(moves.find) == mark

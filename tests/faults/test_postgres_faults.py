"""What is left when the server, the network or another session gets in PostgreSQL's way."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.faults.cut import Wire, wire_to

from unbroken.log.contract import Record
from unbroken.log.embedded import EmbeddedLog
from unbroken.store.contract import Call, ConstraintViolation, Store, StoreRefused, StoreUnavailable, Transaction
from unbroken.store.migrate import Migration, load, packaged
from unbroken.store.postgres import PostgresStore, opening, purging
from unbroken.store.postgres.connection import Limits
from unbroken.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from unbroken.testing.postgres import Schemas

# ruff: noqa: ASYNC110, ASYNC251 - what is waited for is in the database; a call that sleeps stands for a stopped process

pytestmark = pytest.mark.anyio

MIGRATIONS = [*load(Path(__file__).parents[1] / "contract" / "migrations"), *(m for m in packaged() if m.name == "log")]
ADD = "INSERT INTO things (name, number) VALUES ($1, $2)"
IMPATIENT = Limits(lock_s=0.3, idle_s=0.5)


@pytest.fixture
def url(schemas: Schemas) -> str:
    return schemas.create()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One that may be killed, and whose files may be looked at."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def admin(url: str) -> AsyncIterator[Any]:
    """Another session on the same tables."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def opened(url: str, **how: Any) -> PostgresStore:
    return await PostgresStore.open(url, migrations=how.pop("migrations", MIGRATIONS), **how)


def add(name: str, number: int = 0) -> Call[int]:
    return lambda tx: tx.run(ADD, name, number)


async def names(store: Store) -> list[str]:
    return [name for (name,) in await store.read(lambda tx: tx.all("SELECT name FROM things ORDER BY name"))]


async def until(is_so: Any) -> None:
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.01)


# The server


async def test_a_server_that_is_killed_has_stored_all_that_was_acknowledged(own_server: PostgresServer) -> None:
    """Killed under concurrent writes and appends, again and again; the same store goes on when it is back."""
    store = await opened(own_server.url())
    numbers = itertools.count(1)
    told: set[int] = set()

    async def client(act: int, end: int) -> None:
        while len(told) < end:
            number = next(numbers)
            if act % 2:
                await store.write(pair(number))
            else:
                record = Record((number % 50).to_bytes(12, "big"), number, b"%d" % number)
                await EmbeddedLog(store).append(record, first_of_install=False)
            told.add(number)

    for round_ in range(4):
        before = len(told)
        clients = [asyncio.create_task(client(n, 10**9)) for n in range(16)]
        await until(lambda before=before, round_=round_: _is_more(told, before + 40 + 37 * round_))
        await asyncio.to_thread(own_server.kill)
        ends = await asyncio.gather(*clients, return_exceptions=True)
        assert {type(end) for end in ends} == {StoreUnavailable}
        await asyncio.to_thread(own_server.start)
        began = time.monotonic()
        await store.write(pair(next(numbers)))
        assert time.monotonic() - began < 10
        stored, halves = await stored_in(store)
        assert not halves
        assert told <= stored

    await store.close()


async def _is_more(told: set[int], than: int) -> bool:
    return len(told) > than


def pair(number: int) -> Call[None]:
    async def call(tx: Transaction) -> None:
        for half in ("left", "right"):
            await tx.run(ADD, f"{half} {number}", number)

    return call


async def stored_in(store: Store) -> tuple[set[int], set[int]]:
    """The numbers of whole pairs and of records, and those of which only a half is there."""
    lefts, rights = [
        {number for (number,) in await store.read(lambda tx, half=half: tx.all(f"{NUMBERS} '{half} %'"))}
        for half in ("left", "right")
    ]
    records = {at for (at,) in await store.read(lambda tx: tx.all("SELECT received_at FROM log_records"))}
    return (lefts & rights) | records, lefts ^ rights


NUMBERS = "SELECT number FROM things WHERE name LIKE"


async def test_while_the_server_is_away_calls_are_told_so_and_afterwards_they_succeed() -> None:
    with PostgresServer() as server:
        store = await opened(server.url(), limits=Limits(connect_s=1.0))
        await store.write(add("a"))
        server.kill()
        for refused in (store.write(add("b")), store.read(lambda tx: tx.one("SELECT 1"))):
            with pytest.raises(StoreUnavailable, match="server runs"):
                await refused
        server.start()
        await store.write(add("c"))

        assert await names(store) == ["a", "c"]
        await store.close()


# The connection


async def test_a_connection_that_was_cut_while_nobody_used_it_is_made_anew(url: str) -> None:
    async with wire_to(url) as wire:
        store = await opened(wire.url)
        await store.write(add("a"))
        await names(store)
        wire.cut()

        await store.write(add("b"))
        assert await names(store) == ["a", "b"]
        wire.cut()
        assert await names(store) == ["a", "b"]
        await store.close()


async def test_calls_whose_connection_is_cut_before_they_are_made_durable_are_run_again(url: str) -> None:
    async with wire_to(url) as wire:
        store = await opened(wire.url)
        runs = itertools.count()

        async def call(tx: Transaction) -> int:
            await tx.run(ADD, "a", 1)
            if next(runs) == 0:
                wire.cut()
            return await tx.run("UPDATE things SET number = number + 1")

        assert await asyncio.gather(store.write(call), store.write(add("b"))) == [1, 1]
        assert next(runs) == 2
        assert await store.read(lambda tx: tx.all("SELECT name, number FROM things ORDER BY name")) == [
            ("a", 2),
            ("b", 0),
        ]
        await store.close()


@pytest.mark.parametrize("is_passed_on", [True, False])
async def test_a_connection_that_is_cut_at_the_commit_is_no_answer_and_nothing_is_done_twice(
    url: str, *, is_passed_on: bool
) -> None:
    async with wire_to(url) as wire:
        store = await opened(wire.url)
        counter = "INSERT INTO things (name, number) VALUES ('n', 1) ON CONFLICT (name) DO UPDATE SET number = 2"
        await asyncio.gather(store.write(add("before")))
        wire.cut_at, wire.is_passed_on = COMMIT, is_passed_on

        answers = await asyncio.gather(
            store.write(lambda tx: tx.run(counter)), store.write(add("a")), return_exceptions=True
        )

        assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
        assert all("not known whether" in str(answer) for answer in answers)
        assert answers[0] is not answers[1]
        await store.write(add("after"))
        expected = [("after", 0), ("before", 0)] if not is_passed_on else COMMITTED
        assert await store.read(lambda tx: tx.all("SELECT name, number FROM things ORDER BY name")) == expected
        await store.close()


COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
COMMITTED = [("a", 0), ("after", 0), ("before", 0), ("n", 1)]


async def test_a_read_that_is_cut_is_told_so(url: str) -> None:
    async with wire_to(url) as wire:
        store = await opened(wire.url)

        async def call(tx: Transaction) -> Any:
            wire.cut()
            return await tx.all("SELECT name FROM things")

        with pytest.raises(StoreUnavailable, match="lost"):
            await store.read(call)
        with pytest.raises(StoreUnavailable, match="lost"):
            await store.read_long(lambda tx: _cut_from_elsewhere(tx, wire))
        assert await names(store) == []
        await store.close()


async def _cut_from_elsewhere(tx: Transaction, wire: Wire) -> Any:
    wire.loop.call_soon_threadsafe(wire.cut)
    return await tx.all("SELECT pg_sleep(20)")


# Others in the way


async def test_a_statement_that_takes_too_long_is_lost_alone(url: str) -> None:
    store = await opened(url, limits=Limits(statement_s=0.3))

    answers = await asyncio.gather(
        store.write(add("a")),
        store.write(lambda tx: tx.one("SELECT pg_sleep(20)")),
        store.write(add("b")),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [int, StoreUnavailable, int]
    assert "too long" in str(answers[1])
    assert await names(store) == ["a", "b"]
    with pytest.raises(StoreUnavailable, match="too long"):
        await store.read(lambda tx: tx.one("SELECT pg_sleep(20)"))
    assert await store.read_long(lambda tx: tx.one("SELECT pg_sleep(0.5) IS NULL")) == (False,)
    await store.close()


async def test_a_call_that_meets_a_table_that_stays_locked_is_lost_alone(url: str, admin: Any) -> None:
    store = await opened(url, limits=IMPATIENT)
    note = "INSERT INTO kinds (kind_no) VALUES (1)"
    async with admin.transaction():
        await admin.execute("LOCK TABLE things")
        answers = await asyncio.gather(
            store.write(lambda tx: tx.run(note)), store.write(add("a")), return_exceptions=True
        )

    assert [type(answer) for answer in answers] == [int, StoreUnavailable]
    assert "Another process" in str(answers[1])
    await store.write(add("b"))
    assert await names(store) == ["b"]
    await store.close()


async def test_the_victim_of_a_deadlock_is_run_again(url: str, admin: Any) -> None:
    """The server breaks off whom it likes: on a busy machine it may be the other one, so they meet until it is ours."""
    store = await opened(url)
    await store.write(lambda tx: tx.many(ADD, [("a", 0), ("b", 0)]))
    expected, runs = 0, 0

    async def call(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await tx.run(RAISE, "a", 1)
        await tx.run(RAISE, "b", 1)

    while runs < 2:
        runs = 0
        with contextlib.suppress(asyncpg.DeadlockDetectedError):
            async with admin.transaction():
                await admin.execute(RAISE, "b", 10)
                ours = asyncio.create_task(store.write(call))
                await until(lambda: _somebody_waits(store))
                await admin.execute(RAISE, "a", 10)
            expected += 10
        await ours
        expected += 1

    assert await store.read(lambda tx: tx.all("SELECT number FROM things")) == [(expected,), (expected,)]
    await store.close()


RAISE = "UPDATE things SET number = number + $2 WHERE name = $1"


async def _somebody_waits(store: Store) -> bool:
    row = await store.read(lambda tx: tx.one("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    return row is not None and row[0] > 0


async def test_a_process_that_stops_within_a_write_holds_the_others_up_for_a_moment_only(url: str) -> None:
    stopped, other = await opened(url, limits=IMPATIENT), await opened(url)
    runs = itertools.count()

    def in_its_own_loop() -> None:
        async def main() -> None:
            store = await opened(url, limits=IMPATIENT)
            await store.write(call)
            await store.close()

        async def call(tx: Transaction) -> None:
            await tx.run(ADD, "stopped", 0)
            if next(runs) == 0:
                loop.call_soon_threadsafe(begun.set)
                time.sleep(2)
            await tx.run(ADD, "woken", 0)

        asyncio.run(main())

    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    running = asyncio.create_task(asyncio.to_thread(in_its_own_loop))
    await begun.wait()
    began = time.monotonic()
    await other.write(add("other"))
    assert time.monotonic() - began < 1.9
    await running

    assert next(runs) == 2
    assert await names(other) == ["other", "stopped", "woken"]
    for store in (stopped, other):
        await store.close()


# Opening


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url.replace("not-a-secret", "wrong-pass"), "password in the URL"),
        (lambda url: url.replace("not-a-secret", "wrong-pass").replace("/unbroken_test", "/no_such"), "password"),
        (lambda url: url.replace("/unbroken_test", "/no_such"), "createdb"),
        (lambda _: "postgresql://unbroken:not-a-secret@127.0.0.1:1/x", "server runs"),
        (lambda url: url.replace("place_", "no_place_"), "no schema"),
        (lambda _: "mysql://unbroken:not-a-secret@127.0.0.1/x", "postgresql://ACCOUNT"),
        (lambda _: "nonsense", "postgresql://ACCOUNT"),
        (lambda url: url.replace("not-a-secret", "wrong-pass/1"), "%2F"),
        (lambda url: url.replace("not-a-secret", "1/wrong-pass"), "%2F"),
        (lambda _: "postgresql://unbroken@127.0.0.1:wrong-port/x", "%2F"),
    ],
)
async def test_a_database_that_cannot_be_had_is_refused_with_what_to_do(url: str, change: Any, says: str) -> None:
    with pytest.raises(StoreRefused, match=says) as caught:
        await opened(change(url))

    assert "not-a-secret" not in str(caught.value)
    assert "wrong-pass" not in str(caught.value)


async def test_an_account_that_may_not_make_tables_is_refused_with_what_to_do(url: str, admin: Any) -> None:
    await admin.execute("CREATE ROLE unbroken_test_guest LOGIN PASSWORD 'guest'")
    try:
        schema = url.rpartition("=")[2]
        await admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO unbroken_test_guest")
        with pytest.raises(StoreRefused, match="GRANT CREATE"):
            await opened(url.replace("unbroken:not-a-secret", "unbroken_test_guest:guest"))
    finally:
        await admin.execute("DROP OWNED BY unbroken_test_guest; DROP ROLE unbroken_test_guest")


async def test_the_tables_of_another_program_are_left_alone(url: str, admin: Any) -> None:
    await admin.execute("CREATE TABLE theirs (a BIGINT)")

    with pytest.raises(StoreRefused, match="another program"):
        await opened(url)

    assert await admin.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == 1


async def test_a_database_with_another_encoding_is_refused(database_server: str) -> None:
    admin = await asyncpg.connect(database_server)
    await admin.execute("CREATE DATABASE unbroken_test_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(StoreRefused, match="encoding=UTF8"):
            await opened(f"{database_server.rpartition('/')[0]}/unbroken_test_latin")
    finally:
        await admin.execute("DROP DATABASE unbroken_test_latin WITH (FORCE)")
        await admin.close()


async def test_a_server_that_does_not_sync_is_refused() -> None:
    with PostgresServer(fsync="off") as server, pytest.raises(StoreRefused, match="fsync = on"):
        await opened(server.url())


async def test_many_who_open_a_new_database_at_once_all_get_it(url: str) -> None:
    stores = await asyncio.gather(*[opened(url) for _ in range(6)])
    for i, store in enumerate(stores):
        await store.write(add(f"a{i}"))

    assert await names(stores[0]) == [f"a{i}" for i in range(6)]
    for store in stores:
        await store.close()


FIRST = Migration(1, "first", "CREATE TABLE first (a BIGINT);")
SECOND = Migration(2, "second", "CREATE TABLE second (a BIGINT); INSERT INTO second VALUES (2);")


async def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    await (await opened(url, migrations=[FIRST, SECOND])).close()

    with pytest.raises(StoreRefused, match="newer version"):
        await opened(url, migrations=[FIRST])


async def test_a_migration_that_fails_leaves_nothing_of_itself(url: str) -> None:
    await (await opened(url, migrations=[FIRST])).close()
    broken = Migration(2, "second", "CREATE TABLE second (a BIGINT);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreRefused, match="nowhere"):
        await opened(url, migrations=[FIRST, broken])

    store = await opened(url, migrations=[FIRST, SECOND])
    assert await store.read(lambda tx: tx.all("SELECT a FROM second")) == [(2,)]
    await store.close()


async def test_a_migration_that_waits_for_a_table_lets_others_read_it_meanwhile(
    url: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_TABLE_LOCK_MS", 100)
    await (await opened(url, migrations=[FIRST])).close()
    widening = Migration(2, "second", "ALTER TABLE first ADD COLUMN b BIGINT;")
    reader = await asyncpg.connect(url)
    async with admin.transaction():
        await admin.execute("SELECT a FROM first")
        upgrade = asyncio.create_task(opened(url, migrations=[FIRST, widening]))
        await until(lambda: admin.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
        async with asyncio.timeout(10):  # far below the time after which the one before gives up
            await reader.fetch("SELECT a FROM first")
        assert not upgrade.done()
    store = await upgrade
    await reader.close()

    assert await store.write(lambda tx: tx.run("INSERT INTO first (a, b) VALUES (1, 2)")) == 1
    await store.close()


# What the server is asked for


async def test_a_commit_waits_for_the_disk_whatever_the_account_is_set_to(url: str) -> None:
    store = await opened(f"{url}&synchronous_commit=off")

    assert await store.write(lambda tx: tx.one("SHOW synchronous_commit")) == ("on",)
    await store.close()


ANNA, NOW = bytes(range(200, 212)), 1_790_000_000_000


@pytest.mark.parametrize(
    ("user_id", "from_ms", "to_ms"),
    [(ANNA, NOW + 19, NOW + 20), (ANNA, NOW + 20, NOW + 21), (ANNA, 0, NOW + 11), (ANNA, NOW + 5, NOW + 40)],
)
async def test_two_activations_of_one_user_cannot_cover_one_instant(
    url: str, user_id: bytes, from_ms: int, to_ms: int | None
) -> None:
    store = await lived_with_spans(url)

    with pytest.raises(ConstraintViolation, match="one_active_install_at_a_time") as caught:
        await store.write(lambda tx: tx.run(ADD_SPAN, b"three", user_id, from_ms, to_ms))

    assert caught.value.table == "spans"
    await store.close()


async def test_activations_that_touch_and_those_of_users_who_differ_in_one_byte_are_apart(url: str) -> None:
    store = await lived_with_spans(url)
    others = [ANNA[:place] + bytes([ANNA[place] ^ 1]) + ANNA[place + 1 :] for place in range(12)]

    await store.write(lambda tx: tx.run(ADD_SPAN, b"three", ANNA, 0, NOW + 10))
    await store.write(lambda tx: tx.many(ADD_SPAN, [(other, other, NOW, None) for other in others]))

    await store.close()


ADD_SPAN = (
    "INSERT INTO spans (install_id, user_id, state, outcome, from_ms, to_ms, cause)"
    " VALUES ($1, $2, 'active', 'accepted', $3, $4, '\\x00')"
)


async def lived_with_spans(url: str) -> PostgresStore:
    """Anna was active on one phone, and then on another."""
    store = await PostgresStore.open(url)
    await store.write(lambda tx: tx.run(ADD_SPAN, b"one", ANNA, NOW + 10, NOW + 20))
    await store.write(lambda tx: tx.run(ADD_SPAN, b"two", ANNA, NOW + 20, None))
    return store


async def test_after_a_purge_no_file_of_a_table_holds_what_was_deleted(own_server: PostgresServer) -> None:
    store = await opened(own_server.url())
    await store.write(lambda tx: tx.many(ADD, [(f"canary-{i:05}", 10_000 + i) for i in range(500)]))
    admin = await asyncpg.connect(own_server.url())
    await admin.execute("CHECKPOINT")
    assert count_in(own_server, b"canary-") > 0
    await store.write(lambda tx: tx.run("DELETE FROM things WHERE name LIKE 'canary-%'"))

    assert await store.purge(rewrite_up_to_bytes=0) is False
    assert await store.purge(rewrite_up_to_bytes=None) is True

    await admin.execute("CHECKPOINT")
    assert count_in(own_server, b"canary-") == 0
    await admin.close()
    await store.close()


def count_in(server: PostgresServer, needle: bytes) -> int:
    return sum(path.read_bytes().count(needle) for path in (server.data / "base").rglob("*") if path.is_file())


async def test_a_purge_is_put_off_while_somebody_can_still_see_what_was_deleted(
    url: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_TRIES", 2)
    store = await opened(url)
    await store.write(add("a"))
    async with admin.transaction(isolation="repeatable_read"):
        await admin.fetch("SELECT 1 FROM pg_class")  # a snapshot, and a lock on nothing of ours
        await store.write(lambda tx: tx.run("DELETE FROM things"))
        with pytest.raises(StoreUnavailable, match="holds on to the past"):
            await store.purge(rewrite_up_to_bytes=None)

    assert await store.purge(rewrite_up_to_bytes=None) is True
    await store.close()

"""A primary and a synchronous standby: what is acknowledged is on both, and whoever was promoted is found."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.faults.cut import wire_to
from tests.faults.test_postgres_faults import MIGRATIONS, add, names

from unbroken.log import embedded
from unbroken.log.contract import Record
from unbroken.store.contract import Store, StoreRefused, StoreUnavailable, Transaction
from unbroken.store.postgres import PostgresStore
from unbroken.store.postgres.connection import Limits
from unbroken.testing.postgres import PostgresServer
from unbroken.testing.replication import ReplicatedPostgres, tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

# ruff: noqa: ASYNC110 - what is waited for is in the database

pytestmark = pytest.mark.anyio

BACK_S = 10.0
IMPATIENT = Limits(statement_s=0.3, lock_s=0.5, turn_s=1.0, commit_s=0.6)


@pytest.fixture
def pair() -> Iterator[ReplicatedPostgres]:
    with ReplicatedPostgres() as running:
        yield running


async def opened(url: str, limits: Limits | None = None) -> PostgresStore:
    return await PostgresStore.open(url, migrations=MIGRATIONS, limits=limits)


@pytest.fixture
async def store(pair: ReplicatedPostgres) -> AsyncIterator[PostgresStore]:
    """On whichever of the two is the primary."""
    store = await opened(pair.url())
    yield store
    await store.close()


async def until(is_so: Callable[[], Awaitable[bool]], limit_s: float = BACK_S) -> None:
    async with asyncio.timeout(limit_s):
        while not await is_so():
            await asyncio.sleep(0.02)


async def takes(store: Store, name: str) -> bool:
    """Whether `name` can be written now; where that is not known it may be there already."""
    try:
        await store.write(
            lambda tx: tx.run("INSERT INTO things (name, number) VALUES ($1, 0) ON CONFLICT DO NOTHING", name)
        )
    except StoreUnavailable:
        return False
    return True


# The standby is away


async def test_what_a_standby_has_not_confirmed_is_told_to_nobody_and_waited_for_by_nobody_for_ever(
    pair: ReplicatedPostgres,
) -> None:
    """A statement timeout does not end the waiting of the server: it would make the change seen before it is safe."""
    store = await opened(pair.url(), IMPATIENT)
    pair.standby.kill()
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match=r"not known .* for 0\.6 s"):
        await store.write(add("first"))
    with pytest.raises(StoreUnavailable):
        await store.write(add("second"))
    assert time.monotonic() - began < 10
    assert await names(store) == []
    fresh = await opened(pair.url(), IMPATIENT)  # although a writer holds the lock
    assert await names(fresh) == []
    await fresh.close()

    await asyncio.to_thread(pair.standby.start)
    await until(lambda: takes(store, "third"))
    assert await names(store) == ["first", "third"]
    await store.close()


async def test_uploads_that_came_while_others_hung_are_told_with_them(
    pair: ReplicatedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would hang as long again: two limits in a row are more than a phone waits for."""
    monkeypatch.setattr(embedded, "_STALLED_S", 0.3)
    store = await opened(pair.url(), IMPATIENT)
    log = embedded.EmbeddedLog(store)
    admin = await asyncpg.connect(pair.primary.url())
    pair.standby.kill()
    hanging = asyncio.create_task(log.append(Record(b"one", 1, b"body"), first_of_install=False))
    await until(lambda: _is_waited_for_a_standby(admin))
    behind = asyncio.create_task(log.append(Record(b"two", 2, b"body"), first_of_install=False))

    with pytest.raises(StoreUnavailable):
        await hanging
    await asyncio.sleep(0)
    assert behind.done()
    assert isinstance(behind.exception(), StoreUnavailable)
    await admin.close()
    await store.close()


async def test_a_change_that_the_server_gave_up_waiting_for_is_not_acknowledged_nor_is_its_repetition(
    pair: ReplicatedPostgres,
) -> None:
    """An operator who cancels the waiting makes it seen on the primary. The server then answers COMMIT."""
    store = await opened(pair.url(), Limits(commit_s=5.0))
    admin = await asyncpg.connect(pair.primary.url())
    pair.standby.kill()
    writing = asyncio.create_task(store.write(add("a")))
    await until(lambda: _canceled(admin))
    with pytest.raises(StoreUnavailable, match=r"not known .* .canceling wait"):
        await writing
    assert await names(store) == ["a"]

    async def again(tx: Transaction) -> bool:
        return await tx.one("SELECT 1 FROM things WHERE name = 'a'") is not None

    repeating = asyncio.create_task(store.write(again))
    await until(lambda: _is_waited_for_a_standby(admin))
    assert not repeating.done()
    await asyncio.to_thread(pair.standby.start)
    assert await repeating

    await admin.close()
    await store.close()


async def _canceled(admin: Any) -> bool:
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    return await admin.fetchval(waiting) is True


async def _is_waited_for_a_standby(admin: Any) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    return await admin.fetchval(waiting) > 0


# The standby is promoted


async def test_the_standby_that_is_promoted_is_found_and_has_all_that_was_acknowledged(
    pair: ReplicatedPostgres, store: PostgresStore
) -> None:
    for name in ("a", "b"):
        await store.write(add(name))
    await asyncio.to_thread(pair.primary.kill)
    with pytest.raises(StoreUnavailable):
        await store.write(add("meanwhile"))
    await asyncio.to_thread(pair.promote)

    await until(lambda: takes(store, "c"))
    assert await names(store) == ["a", "b", "c"]


async def test_a_former_primary_that_still_runs_is_left_without_being_told(
    pair: ReplicatedPostgres, store: PostgresStore
) -> None:
    """Nobody has fenced it. Its sessions are ended, its long reads too."""
    await store.write(add("a"))
    assert await names(store) == ["a"]
    await store.read_long(lambda tx: tx.one("SELECT 1"))
    await asyncio.to_thread(pair.promote)
    tell(pair.standby, "INSERT INTO things (name, number) VALUES ('new', 0)")

    async def is_seen() -> bool:
        return "new" in await names(store)

    await until(is_seen)
    assert await store.read_long(lambda tx: tx.one("SELECT count(*) FROM things")) == (2,)
    await store.write(add("b"))
    assert await names(store) == ["a", "b", "new"]


async def test_a_primary_that_vanished_without_a_word_is_not_waited_for(
    pair: ReplicatedPostgres, store: PostgresStore
) -> None:
    """Its connections stay open and say nothing; a statement waits half a minute for an answer."""
    await store.write(add("a"))
    assert await names(store) == ["a"]
    pair.primary.pause()
    try:
        writing, reading = asyncio.create_task(store.write(add("lost"))), asyncio.create_task(names(store))
        await asyncio.to_thread(pair.promote)
        await until(lambda: takes(store, "b"))
        ends = await asyncio.gather(writing, reading, return_exceptions=True)
    finally:
        pair.primary.resume()

    assert {type(end) for end in ends} <= {StoreUnavailable, int, list}
    assert set(await names(store)) - {"lost"} == {"a", "b"}
    assert ends[0] != 1 or "lost" in await names(store)


async def test_a_server_that_does_not_answer_delays_the_others_for_a_moment_only(pair: ReplicatedPostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = pair.url().replace(f":{pair.standby.port}", f":{silent.getsockname()[1]}")
        began = time.monotonic()
        store = await opened(url)
        assert time.monotonic() - began < Limits().connect_s
        await store.write(add("a"))
        await store.close()


async def test_a_write_that_hangs_on_a_former_primary_is_not_acknowledged(
    pair: ReplicatedPostgres, store: PostgresStore
) -> None:
    await store.write(add("a"))
    await asyncio.to_thread(pair.promote)
    assert not await takes(store, "lost")  # its standby follows it no longer

    await until(lambda: takes(store, "b"))
    assert await names(store) == ["a", "b"]


async def test_a_former_primary_that_comes_back_is_not_taken_for_one(
    pair: ReplicatedPostgres, store: PostgresStore
) -> None:
    await store.write(add("a"))
    await asyncio.to_thread(pair.primary.kill)
    await asyncio.to_thread(pair.promote)
    await until(lambda: takes(store, "b"))
    await asyncio.to_thread(pair.primary.start)

    fresh = await opened(pair.url())
    for each in (store, fresh):
        assert await names(each) == ["a", "b"]
    await asyncio.to_thread(pair.standby.kill)
    for each in (store, fresh):
        for refused in (each.write(add("c")), each.read(lambda tx: tx.one("SELECT 1"))):
            with pytest.raises(StoreUnavailable):
                await refused
    await fresh.close()


async def test_a_lone_address_that_leads_to_a_former_primary_again_is_refused(pair: ReplicatedPostgres) -> None:
    """As a load balancer's or a provider's does, that looks only whether somebody answers."""
    async with wire_to(pair.primary.url()) as wire:
        store = await opened(wire.url)
        await store.write(add("a"))
        await asyncio.to_thread(pair.promote)
        wire.lead_to(pair.standby.url())
        await until(lambda: takes(store, "b"))

        wire.lead_to(pair.primary.url())
        with pytest.raises(StoreUnavailable, match="another server was promoted"):
            await names(store)
        wire.lead_to(pair.standby.url())
        assert await names(store) == ["a", "b"]
        await store.close()


# Which server is spoken to


async def test_a_server_that_is_set_to_only_read_is_not_written_to(pair: ReplicatedPostgres) -> None:
    """As a former primary is fenced where it cannot be stopped. Sessions that are open already hear of it."""
    store = await opened(pair.primary.url())
    await store.write(add("a"))
    tell(pair.primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")

    async def is_refused() -> bool:
        return not await takes(store, "a")

    await until(is_refused)
    with pytest.raises(StoreUnavailable, match="only read"):
        await store.write(add("b"))
    assert await names(store) == ["a"]
    with pytest.raises(StoreRefused, match="only read"):
        await opened(pair.primary.url())

    connection = await asyncpg.connect(pair.primary.url(), server_settings={"default_transaction_read_only": "off"})
    await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    await until(lambda: takes(store, "c"))
    await store.close()


async def test_a_session_that_can_only_read_any_more_is_dropped_and_the_calls_run_again(
    store: PostgresStore,
) -> None:
    runs = 0

    async def call(tx: Transaction) -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            await tx.run("SET TRANSACTION READ ONLY")
        return await tx.run("INSERT INTO things (name, number) VALUES ('a', 0)")

    assert await asyncio.gather(store.write(add("b")), store.write(call)) == [1, 1]
    assert runs == 2
    assert await names(store) == ["a", "b"]


async def test_the_primary_is_found_wherever_it_stands_in_the_url(pair: ReplicatedPostgres) -> None:
    hosts = f"127.0.0.1:{pair.primary.port}", f"127.0.0.1:{pair.standby.port}"
    turned = pair.url().replace(",".join(hosts), ",".join(reversed(hosts)))
    assert turned != pair.url()
    for url in (turned, f"{turned}?target_session_attrs=read-write", f"{pair.primary.url()}?target_session_attrs=any"):
        store = await opened(url)
        await store.write(lambda tx: tx.run("INSERT INTO things (name, number) VALUES ('a', 0) ON CONFLICT DO NOTHING"))
        await store.close()

    with pytest.raises(StoreRefused, match="standby"):
        await opened(pair.standby.url())
    pair.primary.kill()
    with pytest.raises(StoreRefused, match="standby"):
        await opened(turned)


async def test_servers_that_are_no_copies_of_each_other_are_refused(pair: ReplicatedPostgres) -> None:
    with PostgresServer() as other:
        url = pair.url().replace(f":{pair.standby.port}", f":{other.port}")
        with pytest.raises(StoreRefused, match="no copy"):
            await opened(url)

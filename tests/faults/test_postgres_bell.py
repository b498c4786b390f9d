"""What one process leaves to do another hears of at once; and that it hears nothing costs a moment, never work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from unbroken.domain.ids import InstallId, UserId
from unbroken.flow.process import Worker
from unbroken.log.contract import Record
from unbroken.log.embedded import EmbeddedLog
from unbroken.store import due_timelines
from unbroken.store.migrate import load, packaged
from unbroken.store.postgres import PostgresStore
from unbroken.store.postgres.connection import Limits
from unbroken.testing import in_process
from unbroken.testing.in_process import KEY_RING, START_MS, InProcess
from unbroken.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.store.contract import Transaction
    from unbroken.testing.postgres import Schemas

# ruff: noqa: ASYNC110 - what is waited for is in the database

pytestmark = pytest.mark.anyio

MIGRATIONS = [*load(Path(__file__).parents[1] / "contract" / "migrations"), *(m for m in packaged() if m.name == "log")]
NEVER = Limits(poll_s=3600)
SOON = Limits(poll_s=0.05)
ADD = "INSERT INTO things (name, number) VALUES ($1, 0)"
EARS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"


@pytest.fixture
def url(schemas: Schemas) -> str:
    return schemas.create()


@pytest.fixture
async def admin(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def opened(url: str, limits: Limits) -> PostgresStore:
    return await PostgresStore.open(url, migrations=MIGRATIONS, limits=limits)


async def leave_work(tx: Transaction) -> None:
    await tx.run(ADD, "work")
    tx.wake()


async def until_it_listens(admin: Any) -> None:
    async with asyncio.timeout(30):
        while not await admin.fetchval(f"SELECT count(*) {EARS}"):
            await asyncio.sleep(0.01)


async def lend_an_ear(store: PostgresStore, admin: Any) -> asyncio.Task[None]:
    """A wait that nothing has ended yet: that it began to listen has ended the one before."""
    await asyncio.wait_for(store.woken(), 30)
    await until_it_listens(admin)
    waiting = asyncio.create_task(store.woken())
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


async def test_what_is_left_to_do_is_heard_of_in_another_process_when_it_is_durable(url: str, admin: Any) -> None:
    one, other = await opened(url, NEVER), await opened(url, NEVER)
    waiting = await lend_an_ear(other, admin)
    await one.write(leave_work)
    await asyncio.wait_for(waiting, 30)

    assert await other.read(lambda tx: tx.all("SELECT name FROM things")) == [("work",)]
    for store in (one, other):
        await store.close()


async def test_an_upload_wakes_the_workers_of_other_processes(url: str, admin: Any) -> None:
    api, worker = await opened(url, NEVER), await opened(url, NEVER)
    waiting = await lend_an_ear(worker, admin)
    await EmbeddedLog(api).append(Record(bytes(12), 1, b"body"), first_of_install=False)
    await asyncio.wait_for(waiting, 30)

    assert await EmbeddedLog(worker).behind() != []
    for store in (api, worker):
        await store.close()


async def test_a_worker_elsewhere_processes_what_an_api_leaves_it_without_having_to_look(
    url: str, admin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_process, "open_store", lambda _: PostgresStore.open(url, keys=KEY_RING))
    async with InProcess(tmp_path) as api:
        store = await PostgresStore.open(url, keys=KEY_RING, limits=NEVER)
        worker = Worker(replace(api.context, store=store, log=EmbeddedLog(store)), is_alone=False)
        working = asyncio.create_task(worker.run())
        await until_it_listens(admin)
        phone = await api.register()
        await api.upload(phone, [{"kind": "location", "t": START_MS, "lat": 1.0, "lon": 2.0, "acc": 10}])
        await until_it_is(api, "SELECT count(*) FROM timelines", 1)
        who = InstallId(bytes.fromhex(phone.install_id)), UserId(bytes.fromhex(phone.own_user_id))
        await api.context.store.write(lambda tx: due_timelines.mark_due(tx, *who, 0))
        await until_it_is(api, "SELECT count(*) FROM due", 0)
        worker.stop()
        await working
        await store.close()


async def until_it_is(api: InProcess, statement: str, number: int) -> None:
    async with asyncio.timeout(30):
        while await api.context.store.read(lambda tx: tx.one(statement)) != (number,):
            await asyncio.sleep(0.01)


async def test_a_call_that_leaves_nothing_to_do_or_fails_wakes_nobody(url: str, admin: Any) -> None:
    one, other = await opened(url, NEVER), await opened(url, NEVER)
    waiting = await lend_an_ear(other, admin)

    async def fail(tx: Transaction) -> None:
        await leave_work(tx)
        raise LookupError

    await one.write(lambda tx: tx.run(ADD, "no work"))
    with pytest.raises(LookupError):
        await one.write(fail)
    await one.close()  # what would have been rung is rung by then

    assert await admin.fetchval("SELECT pg_notification_queue_usage()") == 0
    await asyncio.sleep(0.1)
    assert not waiting.done()
    waiting.cancel()
    await other.close()


async def test_what_a_process_leaves_on_its_way_out_is_heard(url: str, admin: Any) -> None:
    one, other = await opened(url, NEVER), await opened(url, NEVER)
    waiting = await lend_an_ear(other, admin)
    await one.write(leave_work)
    await one.close()
    await asyncio.wait_for(waiting, 30)
    await other.close()


async def test_without_a_bell_work_is_found_by_looking(url: str, admin: Any) -> None:
    """The connection that listens is ended again and again, so nothing is ever heard for sure."""
    one, other = await opened(url, Limits()), await opened(url, SOON)
    found = 0
    for _ in range(5):
        await other.woken()
        await until_it_listens(admin)
        await admin.fetch(f"SELECT pg_terminate_backend(pid) {EARS}")
        await one.write(leave_work)
        async with asyncio.timeout(30):
            while (rows := await other.read(lambda tx: tx.all("SELECT name FROM things"))) == []:
                await other.woken()
        found += len(rows)
        await one.write(lambda tx: tx.run("DELETE FROM things"))

    assert found == 5
    for store in (one, other):
        await store.close()


async def test_after_a_loss_it_listens_again_and_looks_at_what_it_may_have_missed(url: str, admin: Any) -> None:
    one, other = await opened(url, NEVER), await opened(url, NEVER)
    waiting = await lend_an_ear(other, admin)
    await admin.fetch(f"SELECT pg_terminate_backend(pid) {EARS}")
    await asyncio.wait_for(waiting, 30)  # the loss itself is a reason to look

    waiting = await lend_an_ear(other, admin)
    await one.write(leave_work)
    await asyncio.wait_for(waiting, 30)
    for store in (one, other):
        await store.close()


async def test_a_server_that_is_away_keeps_nobody_waiting_and_is_heard_again_when_it_is_back() -> None:
    with PostgresServer() as server:
        one, other = await opened(server.url(), Limits()), await opened(server.url(), SOON)
        await other.woken()
        server.kill()
        for _ in range(20):
            await asyncio.wait_for(other.woken(), 30)
        server.start()
        await one.write(leave_work)
        admin = await asyncpg.connect(server.url())
        await until_it_listens(admin)
        await admin.close()
        for store in (one, other):
            await store.close()

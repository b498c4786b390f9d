"""A statement that forgets its app shows a caller of one app nothing of another: PostgreSQL holds the wall itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.unit.server.conftest import Api, row

from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.flow import administer, keys
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.server.app import Application
from unbroken.server.logs import RequestLog
from unbroken.server.metrics import Metrics
from unbroken.server.request_ids import RequestIds
from unbroken.server.route import Credential
from unbroken.store.migrate import POSTGRESQL, packaged
from unbroken.store.postgres import PostgresStore
from unbroken.testing import in_process
from unbroken.testing.in_process import KEY_RING, START_MS, InProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from unbroken.server.route import Call
    from unbroken.store.contract import Store, Transaction
    from unbroken.testing.postgres import Schemas

pytestmark = pytest.mark.anyio

FORGETFUL = "SELECT app_id FROM apps ORDER BY app_id"
ROLE = "unbroken_test_ordinary"
OF_APPS = """
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity
        AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND a.attname = 'app_id'"""


@pytest.fixture
async def url(schemas: Schemas) -> AsyncIterator[str]:
    """A place of an ordinary account, which may make tables and is no superuser."""
    place = schemas.create()
    schema = place.rpartition("=")[2]
    admin = await asyncpg.connect(place)
    await admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'ordinary'")
    await admin.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {ROLE}")
    host = place.rpartition("@")[2]
    yield f"postgresql://{ROLE}:ordinary@{host}"
    await admin.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    await admin.close()


@pytest.fixture
async def context(url: str) -> AsyncIterator[Context]:
    store = await PostgresStore.open(url, keys=KEY_RING)
    chance = SystemRandomness()
    vault = Vault(b"p" * 32, b"s" * 32)
    yield Context(
        store, EmbeddedLog(store), ManualClock(START_MS), SystemClock(), chance, vault, Standings(), lab=False
    )
    await store.close()


async def forget(tx: Transaction) -> list[bytes]:
    return [app_id for (app_id,) in await tx.all(FORGETFUL)]


async def forget_twice(tx: Transaction) -> list[bytes]:
    await tx.one("SELECT 1")
    return await forget(tx)


async def apps(context: Context, count: int = 2) -> list[Any]:
    made = [await administer.create_app(context, f"app {number}") for number in range(count)]
    return sorted(made, key=lambda app: app.app_id)


async def test_every_table_that_names_an_app_is_behind_the_wall(context: Context) -> None:
    found = dict(await context.store.read(lambda tx: tx.all(OF_APPS)))
    assert {"apps", "facts", "installs", "users", "carriers", "receipts"} <= found.keys()
    assert {name for name, has_wall in found.items() if not has_wall} == set()


async def test_a_statement_that_forgets_its_app_shows_nothing_of_another(context: Context) -> None:
    one, two = await apps(context)
    for how in ("read", "read_long"):
        for call in (forget, forget, forget_twice):
            for app in (one, two):
                assert await getattr(context.store.of_app(app.app_id), how)(call) == [app.app_id]
            assert await getattr(context.store, how)(call) == [one.app_id, two.app_id]


async def test_reads_of_many_apps_at_once_each_see_their_own(context: Context) -> None:
    made = await apps(context, 5)
    everybody = [app.app_id for app in made]

    async def look(number: int) -> bool:
        store: Store = context.store
        expected = everybody
        if number % 6 < 5:
            app_id = made[number % 6].app_id
            store, expected = store.of_app(app_id), [app_id]
        return await store.read(forget_twice if number % 7 == 0 else forget) == expected

    assert all(await asyncio.gather(*map(look, range(400))))


async def test_a_handler_that_forgets_its_app_answers_with_nothing_of_another(context: Context) -> None:
    one, two = await apps(context)

    async def planted(given: Context, _: Call) -> Any:
        return [app_id.hex() for app_id in await given.store.read(forget)]

    told = row(
        method="GET", path="/planted", handler=planted, reply=Any, credential=Credential.API_KEY,
        scope=Scope.USER_READ, does="read",
    )  # fmt: skip
    parts = {"request_log": RequestLog(enabled=False), "request_ids": RequestIds(context.randomness)}
    metrics = Metrics()
    api = Api(Application(context, [told], metrics=metrics, **parts), metrics)
    for app in (one, two):
        key = await keys.create_key(context, app.app_id, "all", tuple(Scope))
        reply = await api.send("GET", "/planted", headers={"authorization": f"Bearer {key.api_key}"})
        assert reply.json == [app.app_id.hex()]


async def test_writes_and_workers_see_every_app(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names no app passes, or an upload would never become a timeline."""
    monkeypatch.setattr(in_process, "open_store", lambda _: PostgresStore.open(url, keys=KEY_RING))
    async with InProcess(tmp_path) as platform:
        other = await administer.create_app(platform.context, "other")
        walled = platform.context.of_app(other.app_id)
        assert len(await walled.store.write(forget)) == 2
        phone = await platform.register()
        await platform.upload(phone, [{"kind": "location", "t": START_MS, "lat": 1.0, "lon": 2.0, "acc": 10}])
        await platform.settle()
        assert await platform.context.store.read(lambda tx: tx.one("SELECT count(*) FROM timelines")) == (1,)


async def test_the_wall_is_seen_to_be_the_databases_and_not_the_statements(url: str, context: Context) -> None:
    """Without the policy the same read shows both: it is what holds."""
    one, two = await apps(context)
    owner = await asyncpg.connect(url)
    await owner.execute("ALTER TABLE apps DISABLE ROW LEVEL SECURITY")
    await owner.close()
    assert await context.store.of_app(one.app_id).read(forget) == [one.app_id, two.app_id]


async def test_a_database_of_the_version_before_gets_the_wall_and_keeps_its_rows(url: str) -> None:
    known = packaged(POSTGRESQL)
    before = await PostgresStore.open(url, migrations=[migration for migration in known if migration.name != "wall"])
    rows = [(bytes([number]) * 12,) for number in (1, 2)]
    await before.write(lambda tx: tx.many(ADD_APP, rows))
    store = await PostgresStore.open(url, keys=KEY_RING)
    assert await before.read(forget) == [app_id for (app_id,) in rows]  # it goes on beside the new one
    assert await store.of_app(rows[0][0]).read(forget) == [rows[0][0]]
    for one in (before, store):
        await one.close()


ADD_APP = """INSERT INTO apps (app_id, name, is_disabled, secret_digest, policy, created_at)
    VALUES ($1, 'app', FALSE, $1, '{}', 0)"""

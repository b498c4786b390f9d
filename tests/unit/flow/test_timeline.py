"""A timeline is a function of ledger and payloads: how the uploads were cut and when they came does not matter."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken import wire
from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.flow import administer, authenticate, events, ingest, link, register
from unbroken.flow.authenticate import InstallCaller, KeyCaller
from unbroken.flow.context import Context
from unbroken.flow.process import Worker
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SeededRandomness
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

T = 1_790_000_000_000
MINUTE = 60_000


class Place:
    """A platform in this process, on a real file, with a clock that is moved by hand."""

    @classmethod
    async def open(cls, path: Path) -> Place:
        self = cls()
        store = await SqliteStore.open(path / "unbroken.db")
        self.clock = ManualClock(T)
        vault = Vault(b"p" * 32, b"s" * 32)
        log = EmbeddedLog(store)
        self.context = Context(store, log, self.clock, SystemClock(), SeededRandomness(1), vault, Standings(), lab=True)
        await self.context.standings.load(self.context)
        self.worker = Worker(self.context)
        app = await administer.create_app(self.context, "app")
        self.app = await authenticate.app_by_secret(self.context, app.app_id.hex(), app.app_secret)
        scopes = list(administer.Scope)
        key = await administer.create_key(self.context, app.app_id, "all", scopes)
        caller = await authenticate.by_bearer(self.context, key.api_key)
        assert isinstance(caller, KeyCaller)
        self.key = caller
        return self

    async def register(self, external_id: str) -> tuple[InstallCaller, str]:
        body = wire.Register(wire.Device("android"), wire.SdkVersion("test", "1"))
        made = await register.register(self.context, self.app, body, None)
        linked = await link.link(
            self.context, self.key, made.install_id, wire.Link(external_id), dry_run=False, same=None
        )
        caller = await authenticate.by_bearer(self.context, made.user_token.token)
        assert isinstance(caller, InstallCaller)
        return caller, linked.id

    async def upload(self, caller: InstallCaller, items, sent_at: int | None = None) -> None:
        payload = {"payload_id": "019ab3f0-6f00-7000-8000-0123456789ab", "items": items}
        body = {"sent_at": self.clock.now_ms() if sent_at is None else sent_at, "payloads": [payload]}
        await ingest.ingest(self.context, caller, json.dumps(body).encode(), zstd_body=None)

    async def timeline(self, user_id: str) -> bytes:
        await self.worker.settle()
        wanted = events.Wanted(None, None, all_types=True, limit=None, cursor=None)
        return (await events.events(self.context, self.key, user_id, wanted)).body

    async def close(self) -> None:
        await self.context.store.close()


def fix(at: int, north: float = 0.0):
    return {"kind": "location", "t": T + at * MINUTE, "lat": 51 + north, "lon": 3.7, "acc": 10}


def felt(at: int, type_: str = "walking"):
    return {"kind": "activity", "t": T + at * MINUTE, "type": type_, "confidence": 0.9}


DAY = [
    *(felt(at) for at in range(1, 8)),
    *(fix(at) for at in range(10, 60, 2)),
    *(fix(at, (at - 60) * 0.003) for at in range(60, 80)),
    *(fix(at, 0.06) for at in range(80, 200, 10)),
]


async def told(path: Path, batches, *, settle_between: bool) -> bytes:
    place = await Place.open(path)
    try:
        caller, user_id = await place.register("anna")
        place.clock.advance_to(T + 300 * MINUTE)
        for batch in batches:
            await place.upload(caller, batch)
            if settle_between:
                await place.worker.settle()
        return await place.timeline(user_id)
    finally:
        await place.close()


def test_activities_first_and_fixes_later_equal_both_at_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    at_once = asyncio.run(told(tmp_path / "a", [DAY], settle_between=False))
    apart = asyncio.run(told(tmp_path / "b", [DAY[:7], DAY[7:]], settle_between=True))
    assert json.loads(at_once)
    assert apart == at_once


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(len(DAY))), st.lists(st.integers(1, 12), min_size=1, max_size=8), st.booleans())
def test_any_order_and_any_batches_give_the_same_bytes(tmp_path_factory, order, sizes, settle_between):
    batches, at = [], 0
    while at < len(order):
        size = sizes[len(batches) % len(sizes)]
        batches.append([DAY[n] for n in order[at : at + size]])
        at += size
    batches.append(batches[0])  # and one of them again
    whole = asyncio.run(told(tmp_path_factory.mktemp("whole"), [DAY], settle_between=False))
    cut = asyncio.run(told(tmp_path_factory.mktemp("cut"), batches, settle_between=settle_between))
    assert cut == whole


@pytest.mark.parametrize("first", [0, 1])
def test_a_copy_under_a_smaller_offset_moves_the_item_and_leaves_nothing_behind(tmp_path, first):
    async def story() -> bytes:
        place = await Place.open(tmp_path)
        try:
            caller, user_id = await place.register("anna")
            place.clock.advance_to(T + 2 * MINUTE)
            item = {"kind": "location", "t": T + 100_000, "lat": 51, "lon": 3.7}
            for sent_at in (T + 160_300, T + 120_000) if first == 0 else (T + 120_000, T + 160_300):
                await place.upload(caller, [item], sent_at=sent_at)
                await place.worker.settle()
            return await place.timeline(user_id)
        finally:
            await place.close()

    assert [event["start_ts"] for event in json.loads(asyncio.run(story()))] == [T + 100_000]

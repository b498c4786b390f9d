"""A move between any two engines, while everything that a platform does goes on in the source."""

from __future__ import annotations

import asyncio
from copy import copy
from dataclasses import replace

import pytest
from tests.faults.busy import live, timelines
from tests.faults.move_child import move_all

from unbroken.flow import events
from unbroken.flow.standings import Standings
from unbroken.flow.verify import Wanted, verify
from unbroken.log.embedded import EmbeddedLog
from unbroken.store.contract import StoreDeparted
from unbroken.store.postgres import PostgresStore
from unbroken.store.sqlite import SqliteStore
from unbroken.testing import in_process
from unbroken.testing.in_process import KEY_RING, InProcess

pytestmark = pytest.mark.anyio


async def open_place(place):
    if "://" in place:
        return await PostgresStore.open(place, keys=KEY_RING)
    return await SqliteStore.open(place, keys=KEY_RING, busy_timeout_s=60)


@pytest.fixture(params=[f"{one} to {other}" for one in ("sqlite", "postgres") for other in ("sqlite", "postgres")])
def places(request, tmp_path):
    """Where the platform is, and where it is to be."""
    return [
        request.getfixturevalue("schemas").create() if engine == "postgres" else str(tmp_path / f"{number}.db")
        for number, engine in enumerate(request.param.split(" to "))
    ]


class Lived:
    """What was acknowledged: who is who, and what was told of whom."""

    def __init__(self, platform):
        self.platform = platform
        self.links = {}
        self.uploads = {}
        self.refusal = None

    async def until_refused(self):
        """Register, link, upload, erase, again and again."""
        platform, number = self.platform, 0
        while True:
            number += 1
            try:
                phone = await platform.register()
                linked = await platform.link(phone, f"person-{number % 5}")
                self.links[phone.install_id] = linked.id
                platform.clock.advance_to(platform.clock.now_ms() + 1_800_000)  # so that no burst of links is met
                item = {"kind": "location", "t": platform.clock.now_ms(), "lat": 51, "lon": 4, "acc": 10}
                await platform.upload(phone, [item])
                self.uploads[phone.install_id] = linked.id
                await platform.settle()
            except StoreDeparted as refusal:
                self.refusal = refusal
                return


async def at(platform, store):
    """The same platform with the same keys, in another database."""
    moved = copy(platform)
    moved.context = replace(platform.context, store=store, log=EmbeddedLog(store), standings=Standings())
    await moved.context.standings.load(moved.context)
    moved.worker = type(platform.worker)(moved.context)
    return moved


async def test_what_was_acknowledged_is_in_the_new_place_and_told_as_before(places, tmp_path, monkeypatch):
    source, target = places
    monkeypatch.setattr(in_process, "open_store", lambda _: open_place(source))
    async with InProcess(tmp_path) as platform:
        busy = await live(platform)
        before = await timelines(platform, busy)
        lived = Lived(platform)
        living = asyncio.create_task(lived.until_refused())
        report = await move_all(source, target)
        await asyncio.wait_for(living, 120)
        assert "moved to another database" in str(lived.refusal)
        assert report.stood_still_s > 0
        store = await open_place(target)
        try:
            moved = await at(platform, store)
            assert await timelines(moved, busy) == before
            await moved.settle()
            for install_id, user_id in lived.uploads.items():
                assert lived.links[install_id] == user_id
                assert install_id in {one for one, _, _ in await moved.items(user_id)}
            assert (await verify(moved.context, Wanted(), share=1)).findings == []
            with pytest.raises(StoreDeparted):
                await events.events(platform.context, platform.key, busy.users["anna"], everything())
        finally:
            await store.close()


def everything():
    return events.Wanted(None, None, all_types=True, limit=None, cursor=None, as_of=None)

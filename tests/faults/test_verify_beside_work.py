"""`verify` beside a platform that works: what changes while it looks is no finding."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.busy import live
from tests.faults.test_server_killed import Client, Round
from tests.model.api import create_app
from tests.unit.flow.conftest import put_jetstream, put_postgres

from unbroken.flow.verify import Wanted, verify
from unbroken.testing.in_process import InProcess
from unbroken.testing.nats import delete_stream
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.flow.verify import Report
    from unbroken.store.contract import Transaction

CLIENTS = 2
CALLS = 100
STORIES = 3


def test_every_power_of_the_ledger_may_be_used_while_verify_looks(tmp_path):
    async def story() -> list[Report]:
        async with InProcess(tmp_path) as platform:
            working = asyncio.create_task(platform.worker.run())
            living = asyncio.create_task(live_often(platform))
            reports = []
            while not living.done():
                reports.append(await verify(platform.context, Wanted(), share=1))
            await living
            platform.worker.stop()
            await working
            return [*reports, await verify(platform.context, Wanted(), share=1)]

    reports = asyncio.run(story())
    assert [finding for report in reports for finding in report.findings] == []
    seen = [report.checked["installs"] for report in reports]
    assert len({count for count in seen if 0 < count < seen[-1]}) >= 5, "it looked while things went on"


async def live_often(platform: InProcess) -> None:
    for number in range(STORIES):
        await live(platform, suffix=f"-{number}")


Upload = Callable[[], Coroutine[Any, Any, Any]]


class Overtaken:
    """A log to which an upload comes just before it is asked what waits, and after the asking transaction began.

    Args:
        uploads: one for each time it is asked; None where nothing comes.
    """

    def __init__(self, log: Any, uploads: Iterable[Upload | None]) -> None:
        self._log = log
        self._uploads = iter(uploads)
        self._home = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def count_waiting(self, tx: Transaction, install_id: bytes) -> int:
        if (upload := next(self._uploads, None)) is not None:
            await tx.elsewhere(lambda: self._at_home(upload))
        waiting: int = await self._log.count_waiting(tx, install_id)
        return waiting

    async def _at_home(self, upload: Upload) -> None:
        """A long read is in a loop of its own."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(upload(), self._home))


def test_first_uploads_of_two_phones_that_come_while_it_looks_are_no_finding(tmp_path, monkeypatch, schemas, nats_url):
    """One at the first look at their person, the other at the second, which the first one made it take."""
    put_postgres(monkeypatch, schemas)
    streams = put_jetstream(monkeypatch, nats_url)

    async def story() -> Report:
        async with InProcess(tmp_path) as platform:
            phones = [await platform.register() for _ in range(2)]
            for phone in phones:
                await platform.link(phone, "anna")
            item = {"kind": "custom", "t": platform.clock.now_ms(), "name": "opened", "data": {}}
            first, second = (partial(platform.upload, phone, [item]) for phone in phones)
            log = Overtaken(platform.context.log, [first, None, second])
            platform.context = replace(platform.context, log=log)
            return await verify(platform.context, Wanted(), share=1)

    report = asyncio.run(story())
    for stream in streams.values():
        asyncio.run(delete_stream(nats_url, stream))
    assert report.findings == []
    assert report.checked["installs"] == 2


def test_the_command_finds_nothing_on_a_server_under_load(tmp_path, engine):
    platform = PlatformProcess(tmp_path / "data", lab=False, settings=engine.place()).start()
    try:
        app = create_app(platform, "busy", link_burst="1000000")
        round_ = Round(platform.base_url, app, 1)
        clients = [Client(round_, place, []) for place in range(CLIENTS)]
        for client in clients:
            client.start()
        looks = [verified_after(round_, calls, platform) for calls in (CALLS, 2 * CALLS)]
        round_.over.set()
        for client in clients:
            client.join()
        assert [wrong for client in clients for wrong in client.wrong] == []
    finally:
        platform.stop()
    assert [look["findings"] for look in looks] == [[], []]
    assert looks[0]["checked"]["installs"] < looks[-1]["checked"]["installs"]


def verified_after(round_: Round, calls: int, platform: PlatformProcess) -> Any:
    round_.await_count(calls)
    return platform.command("verify")

"""`verify` beside a platform that works: what changes while it looks is no finding."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.faults.busy import live
from tests.faults.test_server_killed import Client, Round
from tests.model.api import create_app

from unbroken.flow.verify import Wanted, verify
from unbroken.testing.in_process import InProcess
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.flow.verify import Report

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
    assert any(report.pending for report in reports)


async def live_often(platform: InProcess) -> None:
    for number in range(STORIES):
        await live(platform, suffix=f"-{number}")


def test_the_command_finds_nothing_on_a_server_under_load(tmp_path):
    platform = PlatformProcess(tmp_path / "data", lab=False).start()
    try:
        app = create_app(platform, "busy", link_burst="1000000")
        round_ = Round(platform.base_url, app, 1)
        clients = [Client(round_, place, []) for place in range(CLIENTS)]
        for client in clients:
            client.start()
        looks = [verified_after(round_, calls, platform.data) for calls in (CALLS, 2 * CALLS)]
        round_.over.set()
        for client in clients:
            client.join()
        assert [wrong for client in clients for wrong in client.wrong] == []
    finally:
        platform.stop()
    assert [look["findings"] for look in looks] == [[], []]
    assert looks[0]["checked"]["installs"] < looks[-1]["checked"]["installs"]


def verified_after(round_: Round, calls: int, data: Path) -> Any:
    round_.await_count(calls)
    words = [sys.executable, "-m", "unbroken", "verify", "--data", str(data), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout)

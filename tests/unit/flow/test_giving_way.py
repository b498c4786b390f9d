"""Work gives way to calls where the same process answers them, and to nobody elsewhere."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from unbroken.flow.process import Worker
from unbroken.testing.in_process import START_MS as T

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.testing.in_process import InProcess

pytestmark = pytest.mark.anyio

UPLOADS = 300


async def busy() -> None:
    """Others who take some of every turn of the loop, on a machine that is busy."""
    while True:
        time.sleep(0.002)  # noqa: ASYNC251 - it stands for work
        await asyncio.sleep(0)


async def waiting(platform: InProcess) -> None:
    """Uploads that the database has in hand, with nothing for the loop to do."""
    platform.context.log.unanswered += 10  # type: ignore[attr-defined]
    await asyncio.Event().wait()


async def seconds_to_process(
    platform: InProcess, *, answers_calls: bool, others: Callable[[], Awaitable[None]] = busy
) -> float:
    phone = await platform.register()
    for number in range(UPLOADS):
        await platform.upload(phone, [{"kind": "location", "t": T + number, "lat": 1.0, "lon": 2.0, "acc": 10}])
    worker = Worker(platform.context, answers_calls=answers_calls)
    meanwhile, working = asyncio.ensure_future(others()), asyncio.create_task(worker.run())
    began_s = time.monotonic()
    async with asyncio.timeout(60):
        while await platform.context.log.behind():  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.01)
    took_s = time.monotonic() - began_s
    meanwhile.cancel()
    worker.stop()
    await asyncio.wait([meanwhile, working])
    return took_s


async def test_a_worker_that_answers_no_calls_goes_on_on_a_busy_machine(platform: InProcess) -> None:
    polite_s = await seconds_to_process(platform, answers_calls=True)
    assert await seconds_to_process(platform, answers_calls=False) < polite_s / 2


async def test_it_gives_way_to_uploads_that_wait_for_the_database(platform: InProcess) -> None:
    polite_s = await seconds_to_process(platform, answers_calls=True, others=lambda: waiting(platform))
    assert await seconds_to_process(platform, answers_calls=False) < polite_s / 2

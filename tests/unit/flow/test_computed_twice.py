"""A timeline that two workers compute at once: what the slower one knew is never taken for all there is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.flow.timeline import compute
from unbroken.flow.verify import Wanted, verify
from unbroken.store import due_timelines
from unbroken.testing.in_process import START_MS as T

if TYPE_CHECKING:
    from unbroken.store.due_timelines import Due
    from unbroken.testing.in_process import InProcess

pytestmark = pytest.mark.anyio


class Slow:
    """The store of a worker that has read, and does not come to write until it may."""

    def __init__(self, store: Any) -> None:
        self.has_read, self.may_write = asyncio.Event(), asyncio.Event()
        self._store = store

    async def read_long(self, call: Any) -> Any:
        return await self._store.read_long(call)

    async def write(self, call: Any) -> Any:
        self.has_read.set()
        await self.may_write.wait()
        return await self._store.write(call)


async def the_one_due(platform: InProcess) -> Due:
    (due,) = await platform.context.store.read(lambda tx: due_timelines.due(tx, 2**62, b"", 10))
    return due


async def test_a_worker_that_was_overtaken_by_another_and_by_an_upload_writes_nothing(platform: InProcess) -> None:
    phone = await platform.register()
    await platform.upload(phone, [{"kind": "location", "t": T, "lat": 1.0, "lon": 2.0, "acc": 10}])
    while await platform.worker._taker.step(8):
        pass
    marked, slow = await the_one_due(platform), Slow(platform.context.store)
    overtaken = asyncio.create_task(compute(replace(platform.context, store=slow), marked))  # type: ignore[arg-type]
    await slow.has_read.wait()

    await platform.settle()
    await platform.upload(phone, [{"kind": "location", "t": T + 1, "lat": 1.1, "lon": 2.0, "acc": 10}])
    while await platform.worker._taker.step(8):
        pass
    slow.may_write.set()
    await overtaken

    await platform.settle()
    assert (await verify(platform.context, Wanted(), share=1.0)).findings == []

"""What a worker does once an hour, it does by no clock that somebody can set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unbroken.flow.process import Worker
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

pytestmark = pytest.mark.anyio

DAY = 86_400_000


class SetBack:
    """A clock that is set to any time."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms


async def test_retention_goes_on_within_the_hour_though_the_systems_clock_was_set_back_by_a_year(platform: InProcess):
    passed_s = 0.0
    wall = SetBack(T + 365 * DAY)
    worker = Worker(replace(platform.context, wall=wall), seconds=lambda: passed_s)
    phone = await platform.register()
    await platform.upload(phone, [{"kind": "location", "t": T, "lat": 51.0, "lon": 4.0}])
    await platform.settle()
    await tidied(worker)
    assert await platform.items(phone.own_user_id)

    wall.at_ms = T
    passed_s += 3600
    platform.clock.advance_to(T + 100 * DAY)
    await tidied(worker)
    assert not await platform.items(phone.own_user_id)


async def tidied(worker: Worker) -> None:
    await worker._tidy()
    if worker._retaining is not None:
        await worker._retaining

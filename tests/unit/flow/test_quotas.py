"""What a key or an app has used of its day: one number for all processes, which outlives each of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle

import pytest

from unbroken.clock import ManualClock
from unbroken.domain.errors import RateLimited
from unbroken.domain.quota import DAY_MS, ahead, next_day_in_s
from unbroken.domain.rate import Limit
from unbroken.flow.quotas import Quotas
from unbroken.flow.tidy import tidy
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.in_process import START_MS

QUOTA = 6_000
NOON_MS = START_MS - START_MS % DAY_MS + DAY_MS // 2
KEY, OTHER = (Limit.KEY_QUOTA, b"k" * 12), (Limit.KEY_QUOTA, b"o" * 12)


class Processes:
    """Several processes of one platform, one day of which is on one clock."""

    def __init__(self, platform, count, quota=QUOTA):
        self.store, self.wall = platform.context.store, ManualClock(NOON_MS)
        self.quotas = [
            Quotas({Limit.KEY_QUOTA: quota}, self.store, self.wall, is_alone=count == 1) for _ in range(count)
        ]

    async def flood(self, seconds, *, per_s, whose=KEY):
        """Ask one process after the other; how many calls were let through."""
        through, turns = 0, cycle(self.quotas)
        for _ in range(seconds):
            through += sum(passes(next(turns), whose) for _ in range(per_s))
            await self.meet()
        return through

    async def meet(self):
        for quotas in self.quotas:
            await quotas.meet()


def passes(quotas, *counters):
    try:
        quotas.check(counters)
    except RateLimited:
        return False
    quotas.count(counters)
    return True


async def kept(platform):
    return await platform.context.store.read(lambda tx: tx.all("SELECT caller, day, calls FROM quota_uses ORDER BY 1"))


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 2, 4])
async def test_at_ten_times_the_quota_several_processes_let_through_what_one_may_and_touch_nobody_else(platform, count):
    processes = Processes(platform, count)
    assert await processes.flood(90, per_s=700) == pytest.approx(QUOTA, rel=0.05 if count > 1 else 0)
    assert await processes.flood(60, per_s=10, whose=OTHER) == 600


@pytest.mark.anyio
async def test_a_process_that_is_started_anew_knows_what_was_used(platform):
    before = Processes(platform, 1)
    assert await before.flood(4, per_s=1_000) == 4_000
    before.quotas[0].count([KEY])
    await before.quotas[0].leave()
    after = Processes(platform, 1)
    await after.quotas[0].load()
    assert await after.flood(1, per_s=10_000) == QUOTA - 4_001


@pytest.mark.anyio
async def test_another_day_begins_with_nothing_used_and_the_day_before_is_forgotten(platform):
    processes = Processes(platform, 2)
    await processes.flood(90, per_s=500)
    assert not passes(processes.quotas[0], KEY)
    processes.wall.advance_to(NOON_MS + DAY_MS // 2)
    assert await processes.flood(5, per_s=100) == 500
    processes.wall.advance_to(NOON_MS + 3 * DAY_MS)
    await tidy(replace(platform.context, wall=processes.wall))
    assert await kept(platform) == []


@pytest.mark.anyio
async def test_nothing_is_written_for_who_calls_little_until_a_minute_is_over(platform):
    processes = Processes(platform, 1)
    for second in range(59):
        assert passes(processes.quotas[0], KEY) if second < 5 else True
        await processes.meet()
    assert await kept(platform) == []
    await processes.meet()
    assert [(bytes(row[0]), row[2]) for row in await kept(platform)] == [(KEY[1], 5)]


@pytest.mark.anyio
async def test_a_refusal_says_when_the_next_day_begins(platform):
    processes = Processes(platform, 1, quota=3)
    assert await processes.flood(1, per_s=10) == 3
    with pytest.raises(RateLimited, match="The quota of this API key is used up: 3 calls a day") as refused:
        processes.quotas[0].check([KEY])
    assert refused.value.retry_after_s == DAY_MS // 2_000


@pytest.mark.anyio
async def test_who_is_far_ahead_of_what_was_heard_waits_a_second_and_goes_on(platform):
    processes = Processes(platform, 2)
    one = processes.quotas[0]
    assert sum(passes(one, KEY) for _ in range(QUOTA)) == ahead(QUOTA, 0, is_alone=False) < QUOTA // 10
    with pytest.raises(RateLimited, match="nearly used up") as refused:
        one.check([KEY])
    assert refused.value.retry_after_s == 1
    await processes.meet()
    assert passes(one, KEY)


@pytest.mark.anyio
async def test_where_the_database_cannot_be_written_a_process_goes_on_counting_and_says_all_of_it_later(platform):
    processes = Processes(platform, 1)
    (quotas,) = processes.quotas

    class Full:
        async def write(self, _call):
            raise StoreUnavailable("The disk is full.")

    quotas._store = Full()
    assert await processes.flood(2, per_s=1_000) == 2_000
    quotas._store = processes.store
    await processes.meet()
    assert [row[2] for row in await kept(platform)] == [2_000]
    assert await processes.flood(10, per_s=1_000) == QUOTA - 2_000


def test_the_next_day_is_a_second_away_at_least_and_a_day_at_most():
    assert [next_day_in_s(at) for at in (0, 1, 999, DAY_MS - 1, DAY_MS)] == [86_400, 86_400, 86_400, 1, 86_400]

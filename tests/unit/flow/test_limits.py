"""Who calls too often waits, and nobody else does: alone in a process, and over several."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING

import pytest

from unbroken.domain.errors import RateLimited
from unbroken.domain.rate import BURST_MIN_CALLS, Limit, Rate
from unbroken.flow.limits import Limits
from unbroken.flow.shared_limits import MEET_EVERY_S, SharedLimits
from unbroken.store import limit_uses

if TYPE_CHECKING:
    from unbroken.testing.in_process import InProcess

RATE = Rate(per_minute=600)
APP, OTHER = (Limit.APP, b"a" * 12), (Limit.APP, b"b" * 12)
MINUTES = 3


class Seconds:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def limits(seconds, rate=RATE, **more):
    return Limits({Limit.APP: rate, Limit.INSTALL: Rate(per_minute=60)}, seconds=seconds, **more)


def passes(limited, *counters):
    try:
        limited.take(counters)
    except RateLimited:
        return False
    return True


def test_an_app_at_ten_times_its_quota_touches_no_other():
    seconds = Seconds()
    limited, through = limits(seconds), {APP: 0, OTHER: 0}
    for tick in range(MINUTES * 60 * 100):
        seconds.now = 1_000 + tick / 100
        through[APP] += passes(limited, APP)
        if tick % 10 == 0:  # just what it may
            assert passes(limited, OTHER)
    assert through[APP] == pytest.approx(MINUTES * RATE.per_minute, rel=0.06)


def test_a_call_that_one_limit_refuses_costs_the_others_nothing():
    limited = limits(Seconds())
    flooding, calm = (Limit.INSTALL, b"f"), (Limit.INSTALL, b"c")
    assert sum(passes(limited, flooding, APP) for _ in range(10_000)) == 10
    assert sum(passes(limited, calm, APP) for _ in range(10)) == 10
    assert sum(passes(limited, APP) for _ in range(10_000)) == RATE.burst - 20


def test_a_refusal_says_which_limit_and_when_to_come_back():
    told = []
    limited = limits(Seconds(), tell=lambda *whose: told.append(whose))
    for _ in range(10):
        limited.take([(Limit.INSTALL, b"i")])
    with pytest.raises(RateLimited, match="This install calls too often: 60 a minute are allowed") as refused:
        limited.take([(Limit.INSTALL, b"i")])
    assert (refused.value.retry_after_s, told) == (1, [(Limit.INSTALL, b"i")])


def test_what_has_no_limit_is_not_counted():
    assert all(passes(limits(Seconds()), (Limit.KEY, b"k")) for _ in range(1_000))


def test_who_was_quiet_for_long_is_forgotten_and_who_calls_is_not():
    seconds = Seconds()
    limited = limits(seconds)
    for second in range(600):
        seconds.now = 1_000 + second
        limited.take([APP, (Limit.INSTALL, second.to_bytes(2, "big"))])
    installs, apps = limited._callers[Limit.INSTALL], limited._callers[Limit.APP]
    assert len(installs.young) + len(installs.old) < 300
    assert apps.young[APP[1]].calls == 600


def test_a_crowd_of_callers_makes_nobody_who_calls_on_and_on_forgotten():
    seconds = Seconds()
    limited = limits(seconds)
    flooding = (Limit.INSTALL, b"flooding")
    through = 0
    for number in range(200_000):
        limited.take([(Limit.INSTALL, number.to_bytes(4, "big"))])
        through += number % 1_000 == 0 and passes(limited, flooding)
    installs = limited._callers[Limit.INSTALL]
    assert through == 10
    assert len(installs.young) + len(installs.old) <= 100_000


class Processes:
    """Several processes of one platform, and one count of seconds."""

    def __init__(self, platform: InProcess, count: int, rate: Rate = RATE) -> None:
        self.seconds = Seconds()
        self.limits = [limits(self.seconds, rate) for _ in range(count)]
        self.shared = [
            SharedLimits(platform.context, each, f"process {number}") for number, each in enumerate(self.limits)
        ]

    async def flood(self, seconds: float, *, per_s: int, whose: tuple[Limit, bytes] = APP) -> int:
        """Ask one process after the other; how many calls were let through."""
        through, turns = 0, itertools.cycle(self.limits)
        meet_at = self.seconds.now + MEET_EVERY_S
        for _ in range(round(seconds * per_s)):
            self.seconds.now += 1 / per_s
            through += passes(next(turns), whose)
            if self.seconds.now >= meet_at:
                meet_at += MEET_EVERY_S
                for shared in self.shared:
                    await shared.meet()
        return through


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 2, 4])
async def test_several_processes_allow_together_what_one_may(platform, count):
    processes = Processes(platform, count)
    await processes.flood(20, per_s=100)  # the burst of each, before they have heard of each other
    through = await processes.flood(MINUTES * 60, per_s=100)
    assert through == pytest.approx(MINUTES * RATE.per_minute, rel=0.05)
    assert await processes.flood(30, per_s=10, whose=OTHER) == 300


@pytest.mark.anyio
@pytest.mark.parametrize("per_minute", [1, 3, 5])
async def test_two_processes_allow_together_what_one_may_of_a_few_calls_a_minute(platform, per_minute):
    through = await Processes(platform, 2, Rate(per_minute)).flood(30 * 60, per_s=0.25)
    assert through == pytest.approx(BURST_MIN_CALLS + 30 * per_minute, abs=BURST_MIN_CALLS)


@pytest.mark.parametrize("per_minute", [1, 3])
def test_a_debt_is_remembered_until_it_is_paid(per_minute):
    seconds, through = Seconds(), 0
    limited = limits(seconds, Rate(per_minute))
    for minute in range(30):  # ten at once, and every now and then somebody else, so that generations turn
        seconds.now = 1_000 + 60 * minute
        limited.take([(Limit.APP, b"%d" % minute)])
        if minute % 5 == 0:
            through += sum(passes(limited, APP) for _ in range(20))
    assert through <= BURST_MIN_CALLS + 30 * per_minute


@pytest.mark.anyio
async def test_they_write_nothing_for_callers_that_are_far_from_their_limits(platform):
    processes = Processes(platform, 2)
    for number in range(500):
        assert await processes.flood(0.02, per_s=50, whose=(Limit.APP, b"%d" % number)) == 1
    await processes.flood(MEET_EVERY_S * 2, per_s=1)
    assert await said(platform) == []


@pytest.mark.anyio
async def test_what_they_write_is_a_keyed_hash_and_goes_with_them(platform):
    processes = Processes(platform, 2)
    await processes.flood(10, per_s=100)
    rows = await said(platform)
    assert {row.holder for row in rows} == {"process 0", "process 1"}
    assert all(b"a" * 12 not in row.counts and (b"a" * 12).hex().encode() not in row.counts for row in rows)
    await asyncio.gather(*(shared.leave() for shared in processes.shared))
    assert await said(platform) == []


@pytest.mark.anyio
async def test_they_tell_of_so_many_callers_and_no_more(platform):
    processes = Processes(platform, 1)
    for number in range(1_200):
        whose = (Limit.INSTALL, b"%d" % number)
        processes.limits[0].take([whose, whose])
    await processes.shared[0].meet()
    (row,) = await said(platform)
    assert len(json.loads(row.counts)) == 1_000


@pytest.mark.anyio
async def test_a_crowd_pushes_nobody_out_who_is_near_a_limit_and_costs_no_more_than_those_told_of(
    platform, monkeypatch
):
    processes = Processes(platform, 1)
    limited, shared = processes.limits[0], processes.shared[0]
    hashed = []
    digest = shared._digest
    monkeypatch.setattr(shared, "_digest", lambda use: hashed.append(use) or digest(use))
    while passes(limited, (Limit.INSTALL, b"flooding")):
        pass
    for number in range(5_000):
        whose = (Limit.INSTALL, b"%d" % number)
        limited.take([whose, whose])
        if number % 2_500 == 2_499:
            await shared.meet()
    (row,) = await said(platform)
    assert 10 in json.loads(row.counts).values()
    assert len(hashed) == 2_000


@pytest.mark.anyio
async def test_one_that_was_killed_is_forgotten_by_the_others(platform):
    processes = Processes(platform, 2)
    await processes.flood(5, per_s=100)
    processes.shared.pop()
    processes.limits.pop()
    await processes.flood(90, per_s=20)
    assert [row.holder for row in await said(platform)] == ["process 0"]


@pytest.mark.anyio
async def test_one_that_comes_later_is_not_made_to_pay_for_what_was_before_it(platform):
    processes = Processes(platform, 1)
    await processes.flood(120, per_s=100)
    late = Processes(platform, 1)
    late.seconds.now = processes.seconds.now
    assert await late.flood(5, per_s=10) == 50


async def said(platform):
    return await platform.context.store.read(_all)


async def _all(tx):
    return [
        limit_uses.Said(*row) for row in await tx.all("SELECT holder, beats, counts FROM limit_uses ORDER BY holder")
    ]

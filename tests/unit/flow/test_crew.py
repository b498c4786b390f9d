"""Workers share the work out by themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from unbroken.clock import ManualClock
from unbroken.flow.crew import ALIVE_MS, Crew, owner
from unbroken.flow.process import Worker
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

pytestmark = pytest.mark.anyio

WORK = [b"%d" % number for number in range(256)]
FIX = {"kind": "location", "t": T, "lat": 1.0, "lon": 2.0, "acc": 10}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def platform(tmp_path):
    async with InProcess(tmp_path) as platform:
        platform.wall = ManualClock(T)
        platform.context = replace(platform.context, wall=platform.wall)
        yield platform


def test_each_piece_of_work_is_somebodys_and_all_have_about_as_much():
    counts = Counter(owner(["one", "two", "three"], work) for work in WORK)
    assert sum(counts.values()) == len(WORK)
    assert all(55 < count < 115 for count in counts.values())


def test_when_one_goes_only_its_own_work_changes_hands():
    before = {work: owner(["one", "two", "three"], work) for work in WORK}
    after = {work: owner(["one", "three"], work) for work in WORK}
    assert {work for work in WORK if before[work] != after[work]} == {work for work in WORK if before[work] == "two"}


async def test_a_crew_learns_who_comes_who_leaves_and_who_is_heard_of_no_more(platform):
    one, two, three = (Crew(platform.context, name, is_alone=False) for name in ("one", "two", "three"))
    for crew in (one, two, three):
        await crew.meet()
    platform.wall.advance_to(T + 3_000)
    await one.meet()
    assert one.members == ["one", "three", "two"]
    assert [sum(crew.has(work) for crew in (one, one)) in {0, 2} for work in WORK]

    await three.leave()
    platform.wall.advance_to(T + 6_000)
    await one.meet()
    assert one.members == ["one", "two"]

    platform.wall.advance_to(T + ALIVE_MS + 1_000)
    await one.meet()
    assert one.members == ["one"]


async def test_what_a_killed_worker_has_begun_another_takes_over_when_its_lease_ends(platform):
    phones = [await platform.register() for _ in range(20)]
    killed, heir = (Worker(platform.context, is_alone=False) for _ in range(2))
    await killed._step()
    await heir._step()
    await killed._step()  # both are there, and each has its part
    for phone in phones:
        await platform.upload(phone, [FIX])
    await killed.settle()  # it takes what is its own, and is never heard of again
    platform.worker = heir
    done = [phone for phone in phones if await platform.items(phone.own_user_id)]
    assert len(done) > 0

    platform.wall.advance_to(T + ALIVE_MS + 1)
    for phone in phones:
        await platform.upload(phone, [FIX | {"t": T + 1}])

    assert [len(await platform.items(phone.own_user_id)) for phone in phones] == [2] * len(phones)

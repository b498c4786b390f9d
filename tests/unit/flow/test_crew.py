"""Workers share the work out by themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from unbroken.flow import process
from unbroken.flow.crew import BEAT_S, SILENT_S, Crew, owner
from unbroken.flow.process import Worker
from unbroken.store import due_timelines
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

pytestmark = pytest.mark.anyio

WORK = [b"%d" % number for number in range(256)]
FIX = {"kind": "location", "t": T, "lat": 1.0, "lon": 2.0, "acc": 10}


def test_each_piece_of_work_is_somebodys_and_all_have_about_as_much():
    counts = Counter(owner(["one", "two", "three"], work) for work in WORK)
    assert sum(counts.values()) == len(WORK)
    assert all(55 < count < 115 for count in counts.values())


def test_when_one_goes_only_its_own_work_changes_hands():
    before = {work: owner(["one", "two", "three"], work) for work in WORK}
    after = {work: owner(["one", "three"], work) for work in WORK}
    assert {work for work in WORK if before[work] != after[work]} == {work for work in WORK if before[work] == "two"}


class Seconds:
    """A count of seconds that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_crew_learns_who_comes_who_leaves_and_who_is_heard_of_no_more(platform):
    seconds = Seconds()
    one, two, three = (
        Crew(platform.context, name, is_alone=False, seconds=seconds) for name in ("one", "two", "three")
    )
    for crew in (one, two, three):
        await crew.meet()
    seconds.now = 3
    await one.meet()
    assert one.members == ["one", "three", "two"]

    await three.leave()
    seconds.now = 6
    await two.meet()
    await one.meet()
    assert one.members == ["one", "two"]

    seconds.now = 6 + SILENT_S
    await one.meet()
    assert one.members == ["one"]

    await two.meet()  # it was only asleep
    seconds.now += BEAT_S
    await one.meet()
    assert one.members == ["one", "two"]


async def test_a_worker_that_failed_for_a_while_is_of_the_crew_again(platform):
    seconds = Seconds()
    failing, other = (Crew(platform.context, name, is_alone=False, seconds=seconds) for name in ("failing", "other"))
    for second in range(2 * round(SILENT_S)):
        seconds.now = float(second)
        await failing.meet()
        await other.meet()
        assert "failing" in failing.members
        await failing.leave()  # it begins again, and counts its beats anew

    for second in (1.0, 2.0):
        seconds.now += second
        await failing.meet()
        await other.meet()
    assert failing.members == other.members == ["failing", "other"]


async def test_what_a_killed_worker_has_not_done_another_takes_over(platform):
    seconds = Seconds()
    killed, heir = two_with_a_part_each(platform, seconds)
    await killed.settle()
    await heir.settle()
    seconds.now = BEAT_S
    await killed.settle()  # both know each other
    phones = [await platform.register() for _ in range(40)]
    for phone in phones:
        await platform.upload(phone, [FIX])
    await killed.settle()
    assert 0 < await kept(platform) < 40
    await heir.settle()
    assert await kept(platform) == 40

    for phone in phones:  # the one is never heard of again
        await platform.upload(phone, [FIX])
    await heir.settle()
    assert 40 < await kept(platform) < 80
    seconds.now += SILENT_S
    await heir.settle()
    assert await kept(platform) == 80


async def test_a_timeline_that_is_due_does_not_wait_behind_many_that_are_due_to_another(platform, monkeypatch):
    monkeypatch.setattr(process, "_LOOKED_AT_ONCE", 4)
    seconds = Seconds()
    ours, theirs = two_with_a_part_each(platform, seconds)
    await ours.settle()
    await theirs.settle()
    seconds.now = BEAT_S
    await ours.settle()
    phones = [await platform.register() for _ in range(40)]
    users = sorted(bytes.fromhex(phone.own_user_id) for phone in phones)
    last = next(user for user in reversed(users) if ours._crew.has(user))
    before = [user for user in users if user < last and theirs._crew.has(user)]
    assert len(before) > 4
    for user in [*before, last]:
        await platform.context.store.write(lambda tx, user=user: due_timelines.mark(tx, user, T))

    await ours.settle()

    left = await platform.context.store.read(lambda tx: due_timelines.due(tx, 2**62, b"", 100))
    assert [due.user_id for due in left] == before


def two_with_a_part_each(platform: InProcess, seconds: Seconds) -> tuple[Worker, Worker]:
    work = [b"%d" % number for number in range(platform.context.log.partitions)]
    while True:
        two = [Worker(platform.context, is_alone=False, seconds=seconds) for _ in range(2)]
        names = [one.holder for one in two]
        if len({owner(names, one) for one in work}) == 2:
            return two[0], two[1]


async def kept(platform: InProcess) -> int:
    row = await platform.context.store.read(lambda tx: tx.one("SELECT count(*) FROM payloads"))
    return int(row[0])

"""The late window in force when an item came decides, however often the policy is changed and the timeline computed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from tests.unit.flow.test_archive import exported, imported, two

from unbroken.domain.late_windows import JudgedAnew, LateWindows
from unbroken.flow import explain
from unbroken.flow.replay import Wanted, replay
from unbroken.flow.retention import retain
from unbroken.flow.verify import Wanted as Everybody
from unbroken.flow.verify import verify
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def stay(from_ms: int) -> list[dict[str, Any]]:
    return [{"kind": "location", "t": from_ms + m * MINUTE, "lat": 51.0, "lon": 4.0} for m in range(0, 60, 2)]


async def outcomes(platform: InProcess, user_id: str) -> Counter[tuple[str, str]]:
    return Counter((captured_at[:10], outcome) for _, captured_at, outcome in await platform.items(user_id))


async def rests_on(platform: InProcess, user_id: str) -> list[int]:
    """How many accepted items each event is explained by, newest first."""
    told = []
    for event in json.loads(await platform.timeline(user_id)):
        one = await explain.explain_event(platform.context, platform.key, user_id, event["event_id"])
        told.append(sum(item.count for item in one.items if item.outcome == "accepted"))
    return told


def test_a_changed_late_window_changes_only_what_comes_after_it(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(T + 5 * DAY)
            await platform.upload(phone, stay(T + DAY))
            before, judged = await platform.timeline(user_id), await outcomes(platform, user_id)
            assert {outcome for _, outcome in judged} == {"accepted"}

            await platform.set_policy(late_window_days="1")
            assert await platform.timeline(user_id) == before
            assert await outcomes(platform, user_id) == judged
            assert await rests_on(platform, user_id) == [30]

            platform.clock.advance_to(T + 6 * DAY)
            await platform.upload(phone, stay(T + 3 * HOUR))  # earlier, so all is computed again; and too late now
            assert await platform.timeline(user_id) == before
            assert await outcomes(platform, user_id) == judged + Counter({("2026-09-21", "too_late"): 30})
            report = await replay(platform.context, Wanted(platform.app.app_id), share=1)
            assert (report.same, report.differ) == (1, {})

    asyncio.run(story())


@pytest.mark.parametrize("is_settled", [True, False])
def test_it_does_not_matter_whether_an_upload_was_processed_before_the_change(tmp_path, is_settled):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(T + 5 * DAY)
            await platform.upload(phone, stay(T + DAY))
            if is_settled:
                await platform.settle()
            await platform.set_policy(late_window_days="1")  # in the same millisecond
            platform.clock.advance_to(T + 5 * DAY + 1)
            await platform.upload(phone, stay(T + 2 * DAY))
            await platform.set_policy(late_window_days="30")
            platform.clock.advance_to(T + 6 * DAY)
            await platform.upload(phone, stay(T + DAY) + stay(T + 2 * DAY) + stay(T + 3 * DAY))
            judged = Counter(outcome for _, outcome in (await outcomes(platform, user_id)).elements())
            assert judged == {"accepted": 60, "too_late": 30}  # the first copy of an item decides
            assert sum(await rests_on(platform, user_id)) == 60

    asyncio.run(story())


def test_what_was_switched_to_stays_whatever_comes_later_and_is_not_believed_before(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="2")
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(T + 5 * DAY)
            await platform.upload(phone, stay(T + DAY))
            empty = await platform.timeline(user_id)
            assert json.loads(empty) == []
            platform.clock.advance_to(T + 6 * DAY)
            await platform.set_policy(late_window_days="30")
            wanted = Wanted(platform.app.app_id, {"late_window_days": "30"}, switch=True)
            assert (await replay(platform.context, wanted, share=1)).switched == 1
            platform.clock.advance_to(T + 7 * DAY)
            await platform.set_policy(late_window_days="3")
            platform.clock.advance_to(T + 8 * DAY)
            await platform.upload(phone, stay(T + HOUR))
            assert Counter(outcome for *_, outcome in await platform.items(user_id)) == {"accepted": 30, "too_late": 30}
            assert await rests_on(platform, user_id) == [30]
            assert await platform.timeline(user_id, as_of=T + 6 * DAY - 1) == empty

    asyncio.run(story())


def test_what_was_switched_to_moves_with_the_person(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            await here.set_policy(late_window_days="2")
            phone = await here.register()
            user_id = (await here.link(phone, "anna")).id
            here.clock.advance_to(T + 5 * DAY)
            await here.upload(phone, stay(T + DAY))
            await here.settle()
            wanted = Wanted(here.app.app_id, {"late_window_days": "30"})
            await replay(here.context, wanted, share=1)
            await here.set_policy(late_window_days="30")
            await replay(here.context, Wanted(here.app.app_id, switch=True, resume=True), share=1)
            before = await here.timeline(user_id)
            assert json.loads(before)
            await imported(there, await exported(here, user_id))
            assert await there.timeline(user_id) == before
            assert (await verify(there.context, Everybody(), share=1)).findings == []

    asyncio.run(story())


def test_what_lies_before_a_floor_stays_as_it_was_told_whatever_is_tried_and_switched_to(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="5", retention_days="30")
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            for at, captured in ((1, 0), (20, 3), (30, 20), (45, 32)):
                platform.clock.advance_to(T + at * DAY)
                await platform.upload(phone, stay(T + captured * DAY))
            await platform.settle()
            await retain(platform.context, share=1)
            await platform.set_policy(late_window_days="20")
            for days in ("20", "12"):
                await platform.set_policy(late_window_days=days)
                wanted = Wanted(platform.app.app_id, {"late_window_days": days}, switch=True)
                assert (await replay(platform.context, wanted, share=1)).switched == 1
                judged = await outcomes(platform, user_id)
                assert judged["2026-09-24", "too_late"] == 30, "received in the window of 20 days, and under the floor"
                accepted = sum(count for (_, outcome), count in judged.items() if outcome == "accepted")
                assert sum(await rests_on(platform, user_id)) == accepted
                assert (await verify(platform.context, Everybody(), share=1)).findings == []

    asyncio.run(story())


def test_the_last_change_before_a_receipt_is_in_force():
    windows = LateWindows(first=30, changes=((100, 7), (100, 8), (200, 20)), replayed={b"i": [JudgedAnew(150, 60)]})
    assert [windows.days(b"j", at, 0) for at in (0, 100, 101, 200, 201)] == [30, 30, 8, 8, 20]
    assert [windows.days(b"i", at, 0) for at in (0, 150, 151, 201)] == [60, 60, 8, 20]


def test_the_last_replay_that_speaks_of_an_item_decides():
    windows = LateWindows(first=30, replayed={b"i": [JudgedAnew(150, 60, 10), JudgedAnew(200, 5, 20)]})
    assert [windows.days(b"i", 100, captured_at) for captured_at in (10, 11, 20, 21)] == [30, 60, 60, 5]
    assert windows.tried(7, [b"i"], 30).days(b"i", 1000, 31) == 7


def test_the_widest_window_since_an_instant_is_that_of_any_receipt_since():
    windows = LateWindows(first=30, changes=((100, 7), (200, 20)))
    assert [windows.widest(at) for at in (0, 100, 101, 200, 201)] == [30, 30, 20, 20, 20]
    assert LateWindows(first=30, changes=((100, 7),)).widest(101) == 7
    assert LateWindows(replayed={b"i": [JudgedAnew(150, 60)]}).widest(151) == 30
    assert LateWindows(replayed={b"i": [JudgedAnew(150, 60)]}).widest(150) == 60


# After a handover

HANDED_OVER = T + 10 * HOUR


async def handed_over(platform: InProcess):
    """Anna's first phone captured from the first hour on, sent nothing, and was superseded."""
    await platform.set_policy(late_after_handover_hours="2")
    first = await platform.register()
    user_id = (await platform.link(first, "anna")).id
    platform.clock.advance_to(HANDED_OVER)
    second = await platform.register()
    return first, user_id, (await platform.link(second, "anna")).link_id


def test_what_a_superseded_phone_delivers_late_counts_until_the_bound_and_again_when_the_handover_is_undone(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            first, user_id, link_id = await handed_over(platform)
            platform.clock.advance_to(HANDED_OVER + HOUR)
            await platform.upload(first, stay(T + HOUR))
            before = await platform.timeline(user_id)
            platform.clock.advance_to(HANDED_OVER + 3 * HOUR)
            await platform.upload(first, stay(T + 3 * HOUR) + stay(T + HOUR))
            assert await platform.timeline(user_id) == before
            judged = Counter(outcome for *_, outcome in await platform.items(user_id))
            assert judged == {"accepted": 30, "too_late": 30}
            assert (await verify(platform.context, Everybody(), share=1)).findings == []
            undone = await platform.undo(link_id)
            assert Counter(outcome for *_, outcome in await platform.items(user_id)) == {"accepted": 60}
            assert sum(await rests_on(platform, user_id)) == 60
            await platform.undo(undone.undo_id)
            assert await platform.timeline(user_id) == before
            report = await replay(platform.context, Wanted(platform.app.app_id), share=1)
            assert report.differ == {}

    asyncio.run(story())


@pytest.mark.parametrize("is_settled", [True, False])
def test_the_bound_in_force_at_the_receipt_decides_whenever_it_is_processed(tmp_path, is_settled):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            first, user_id, _ = await handed_over(platform)
            platform.clock.advance_to(HANDED_OVER + 3 * HOUR)
            await platform.upload(first, stay(T + HOUR))
            if is_settled:
                await platform.settle()
            await platform.set_policy(late_after_handover_hours="0")
            platform.clock.advance_to(HANDED_OVER + 4 * HOUR)
            await platform.upload(first, stay(T + 3 * HOUR))
            judged = Counter(outcome for *_, outcome in await platform.items(user_id))
            assert judged == {"accepted": 30, "too_late": 30}
            tried = Wanted(platform.app.app_id, {"late_window_days": "60"})
            assert (await replay(platform.context, tried, share=1)).differ == {}, "a replay tries no other bound"
            assert (await verify(platform.context, Everybody(), share=1)).findings == []

    asyncio.run(story())

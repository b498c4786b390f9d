"""Retention: payloads go, timelines stay; and what comes late lands as if nothing had gone."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken import wire
from unbroken.domain.errors import HistoryExpired, InvalidRequest
from unbroken.flow import erase_part, events, retention, tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.flow.verify import Wanted as Everybody
from unbroken.flow.verify import verify
from unbroken.testing.in_process import START_MS, InProcess

if TYPE_CHECKING:
    from unbroken.testing.in_process import Phone

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EXAMPLES = int(os.environ.get("UNBROKEN_PROVE_HISTORIES", "10000"))


def captured(phone: int, from_ms: int, hours: int, every: int = 10) -> list[dict[str, Any]]:
    """Some hours of a phone: two at a place, one on the way, again; what was felt in between."""
    items: list[dict[str, Any]] = []
    for minute in range(0, hours * 60, every):
        at, hour = from_ms + minute * MINUTE + phone, (from_ms // HOUR) + minute // 60
        north = 0.02 * (hour % 3) + 0.02 * (hour % 3 == 2) * (minute % 60) / 60
        items.append({"kind": "location", "t": at, "lat": 51 + north, "lon": 4.0})
        if minute % 30 == 0:
            items.append({"kind": "activity", "t": at + 1, "type": "walking", "confidence": 0.8})
    return items


async def rows(platform: InProcess) -> list[Any]:
    """All that is told of anybody, and all that later data builds on."""
    statements = (
        "SELECT user_id, event_id, start_ms, end_ms, revision, body, place_id, successor, is_removed FROM events",
        "SELECT user_id, day, body FROM chunks",
        "SELECT user_id, at_ms, state, places, labels, places_until, last_fix FROM timelines",
    )
    return [await platform.context.store.read(lambda tx, one=one: tx.all(f"{one} ORDER BY 1, 2")) for one in statements]


async def retain(platform: InProcess) -> retention.Retained:
    (told,) = await retention.retain(platform.context, share=1)
    return told


def test_what_is_due_goes_and_the_timeline_stays(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            for day in range(100):
                platform.clock.advance_to(START_MS + (day + 1) * DAY)
                await platform.upload(phone, captured(0, START_MS + day * DAY, 12, every=60))
            before, seen = await platform.timeline(user_id), await rows(platform)
            items = await platform.items(user_id)

            (counted,) = await retention.retain(platform.context, dry_run=True)
            assert (counted.installs, counted.waiting) == (1, 0)
            assert counted.payloads in {9, 10, 11}
            assert await platform.items(user_id) == items

            done = await retain(platform)
            assert done == counted
            assert await platform.timeline(user_id) == before
            assert await rows(platform) == seen
            assert len(await platform.items(user_id)) == len(items) - 24 * done.payloads
            assert (await retain(platform)).payloads == 0

    asyncio.run(story())


def test_the_last_location_stays_known_when_its_payload_went(tmp_path):
    async def story() -> tuple[bytes, bytes]:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(START_MS + DAY)
            await platform.upload(phone, captured(0, START_MS, 5))
            await platform.settle()
            before = await events.last_location(platform.context, platform.key, user_id)
            platform.clock.advance_to(START_MS + 100 * DAY)
            assert (await retain(platform)).payloads == 1
            await platform.upload(phone, captured(0, START_MS, 1))  # much too late
            await platform.settle()
            return before, await events.last_location(platform.context, platform.key, user_id)

    before, after = asyncio.run(story())
    assert before == after


def test_a_timeline_that_is_behind_is_waited_for(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(START_MS + DAY)
            await platform.upload(phone, captured(0, START_MS, 5))
            await platform.worker._taker.step(8)
            platform.clock.advance_to(START_MS + 200 * DAY)
            (counted,) = await retention.retain(platform.context, dry_run=True)
            told = await retain(platform)
            assert (told.payloads, told.waiting) == (0, 1)
            assert counted == told
            assert json.loads(await platform.timeline(user_id))
            assert (await retain(platform)).payloads == 1

    asyncio.run(story())


def test_what_waits_in_the_log_holds_the_time_back(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            await platform.link(phone, "anna")
            platform.clock.advance_to(START_MS + DAY)
            await platform.upload(phone, captured(0, START_MS, 5))
            await platform.settle()
            platform.clock.advance_to(START_MS + 29 * DAY)
            await platform.upload(phone, captured(0, START_MS + 2 * DAY, 5))  # accepted, though it waits for months
            platform.clock.advance_to(START_MS + 200 * DAY)
            assert (await retain(platform)).payloads == 0

    asyncio.run(story())


def test_a_worker_lets_go_of_what_is_due_beside_its_work(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(START_MS + DAY)
            await platform.upload(phone, captured(0, START_MS, 5))
            before = await platform.timeline(user_id)
            platform.clock.advance_to(START_MS + 100 * DAY)
            working = asyncio.create_task(platform.worker.run())
            async with asyncio.timeout(30):
                while await platform.items(user_id):  # noqa: ASYNC110 - the worker tells nobody when it has deleted
                    await asyncio.sleep(0.01)
            platform.worker.stop()
            await working
            assert await platform.timeline(user_id) == before

    asyncio.run(story())


def test_an_undo_that_needs_what_is_gone_is_refused_whole(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            first, second = await platform.register(), await platform.register()
            await platform.link(first, "anna")
            link = await platform.link(second, "anna")
            for day in (1, 80):
                platform.clock.advance_to(START_MS + day * DAY)
                await platform.upload(second, captured(1, START_MS + (day - 1) * DAY, 5))
            await platform.settle()
            platform.clock.advance_to(START_MS + 120 * DAY)
            assert (await retain(platform)).payloads == 1
            seen = await rows(platform)
            with pytest.raises(HistoryExpired):
                await platform.undo(link.link_id)
            assert await rows(platform) == seen

    asyncio.run(story())


def test_payloads_are_kept_longer_than_items_may_be_late_whatever_the_policy_says(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            await platform.set_policy(late_window_days="20", retention_days="5")
            await platform.upload(phone, captured(0, START_MS, 5))
            await platform.settle()
            platform.clock.advance_to(START_MS + 21 * DAY)
            assert (await retain(platform)).payloads == 0
            platform.clock.advance_to(START_MS + 24 * DAY)
            assert (await retain(platform)).payloads == 1

    asyncio.run(story())


def test_the_late_window_is_not_widened_behind_what_is_gone(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            await platform.set_policy(late_window_days="5", retention_days="10")
            platform.clock.advance_to(START_MS + DAY)
            await platform.upload(phone, captured(0, START_MS, 5))
            await platform.settle()
            platform.clock.advance_to(START_MS + 15 * DAY)
            assert (await retain(platform)).payloads == 1
            with pytest.raises(InvalidRequest, match="widened to 8 days today"):
                await platform.set_policy(late_window_days="30", retention_days="90")
            await platform.set_policy(late_window_days="8", retention_days="90")
            platform.clock.advance_to(START_MS + 60 * DAY)
            await platform.set_policy(late_window_days="30")

    asyncio.run(story())


def test_a_part_that_a_floor_knows_is_neither_erased_nor_undone_apart(tmp_path):
    """A phone whose own payloads are all there, on the timeline of a person of whom earlier ones are gone."""

    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="20", retention_days="30")
            first = await platform.register()
            await platform.link(first, "anna")
            platform.clock.advance_to(START_MS + DAY)
            await platform.upload(first, captured(0, START_MS, 5))
            await platform.settle()
            second = await platform.register()
            link = await platform.link(second, "anna")
            platform.clock.advance_to(START_MS + 12 * DAY)
            await platform.upload(second, captured(0, START_MS + 2 * DAY, 5))
            await platform.settle()
            platform.clock.advance_to(START_MS + 40 * DAY)
            assert (await retain(platform)).payloads == 1
            erase = erase_part.erase_install(platform.context, platform.key, second.install_id, dry_run=False)
            for change in (erase, platform.undo(link.link_id)):
                with pytest.raises(HistoryExpired):
                    await change

    asyncio.run(story())


def test_what_a_claimed_phone_captured_before_the_floor_of_the_person_is_told_as_set_aside(tmp_path):
    """Its uploads are all there, but the person's timeline of that time can be told no other way any more."""

    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="20", retention_days="30", used_install="claim")
            first, second = await platform.register(), await platform.register()
            user_id = (await platform.link(first, "anna")).id
            platform.clock.advance_to(START_MS + HOUR)
            await platform.upload(first, captured(0, START_MS, 1))
            await tokens.reset(platform.context, CredentialCaller(first.credential))
            platform.clock.advance_to(START_MS + 13 * DAY)
            await platform.upload(second, [*captured(0, START_MS + 2 * DAY, 5), *captured(0, START_MS + 12 * DAY, 5)])
            await platform.settle()
            platform.clock.advance_to(START_MS + 40 * DAY)
            assert (await retain(platform)).payloads == 1
            before, alone = await platform.timeline(user_id), await platform.timeline(second.own_user_id)
            floor = wire.iso(START_MS // DAY * DAY + 11 * DAY)  # thirty days ago, and a day

            link = await platform.link(second, "anna")
            assert link.id == user_id
            outcomes = {(at > floor, outcome) for _, at, outcome in await platform.items(user_id)}
            assert outcomes == {(False, "overlaps"), (True, "accepted")}
            claimed = [event["start_ts"] for event in json.loads(await platform.timeline(user_id))]
            assert claimed[-3:] == [START_MS + 12 * DAY, START_MS + 50 * MINUTE, START_MS]
            assert (await verify(platform.context, Everybody(), share=1)).findings == []

            await platform.undo(link.link_id)
            assert (await platform.timeline(user_id), await platform.timeline(second.own_user_id)) == (before, alone)

    asyncio.run(story())


def test_a_copy_that_outlives_the_one_that_counted_counts_no_second_time(tmp_path):
    """A phone sent its last hours twice, about midnight, its clock set in between; then it lay in a drawer."""

    async def story() -> None:
        midnight = START_MS // DAY * DAY + 2 * DAY
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            items = captured(0, midnight - 6 * HOUR, 3)
            platform.clock.advance_to(midnight - MINUTE)
            await platform.upload(phone, items)
            platform.clock.advance_to(midnight + MINUTE)
            await platform.upload(phone, items, sent_at=midnight + MINUTE - 4 * HOUR)
            await platform.settle()
            platform.clock.advance_to(midnight + 90 * DAY + HOUR)
            assert (await retain(platform)).payloads == 1
            await platform.upload(phone, captured(0, midnight + 90 * DAY, 1))
            told = json.loads(await platform.timeline(user_id))
            assert not [event for event in told if midnight - 3 * HOUR < event["start_ts"] < midnight + 90 * DAY]
            assert (await verify(platform.context, Everybody(), share=1)).findings == []

    asyncio.run(story())


# A property: a platform whose payloads go tells what its twin tells, which keeps everything

PHONES, LATE_MS, KEPT_DAYS = 2, 4 * DAY, 6
uploads = st.tuples(
    st.integers(0, PHONES - 1),
    st.one_of(st.integers(0, 10), st.integers(70, 96), st.integers(97, 240)).map(lambda hours: hours * HOUR),
    st.integers(1, 6),  # how many hours were captured, beginning so long ago
    st.sampled_from([0, 0, 0, 40_000, -50_000, 3 * HOUR]),  # how far the phone's clock is wrong
)
waits = st.one_of(st.integers(1, 6), st.integers(30, 100)).map(lambda hours: hours * HOUR)
histories = st.lists(st.tuples(waits, uploads), max_size=20)


@settings(max_examples=max(10, EXAMPLES // 400), deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_retention_never_changes_a_byte_of_any_timeline(tmp_path_factory, history):
    asyncio.run(_compare(tmp_path_factory.mktemp("twins"), history))


@pytest.mark.prove
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_retention_never_changes_a_byte_of_any_timeline_proven(tmp_path_factory, history):
    asyncio.run(_compare(tmp_path_factory.mktemp("twins"), history))


async def _compare(directory, history) -> None:
    (directory / "a").mkdir()
    (directory / "b").mkdir()
    async with InProcess(directory / "a") as one, InProcess(directory / "b") as twin:
        both = (one, twin)
        phones = [[await platform.register() for _ in range(PHONES)] for platform in both]
        for platform, of in zip(both, phones, strict=True):
            await platform.set_policy(late_window_days=str(LATE_MS // DAY), retention_days=str(KEPT_DAYS))
            for phone in of:
                await platform.link(phone, "anna")
        for number, (wait_ms, step) in enumerate(history):
            for platform, of in zip(both, phones, strict=True):
                platform.clock.advance_to(platform.clock.now_ms() + wait_ms)
                await _upload(platform, of, step, number)
                await platform.settle()
            await retain(one)
            assert await rows(one) == await rows(twin)


async def _upload(platform: InProcess, phones: list[Phone], step: Any, number: int) -> None:
    """What comes within the late window may come again; what comes later is new, and counts nowhere."""
    phone, ago_ms, hours, wrong_ms = step
    now_ms = platform.clock.now_ms()
    at_ms = (now_ms - ago_ms - wrong_ms) // HOUR * HOUR + (1000 * number if ago_ms > LATE_MS - 6 * HOUR else 0)
    await platform.upload(phones[phone], captured(phone, at_ms, hours), sent_at=now_ms - wrong_ms)

"""Replay: under the policy in force nothing differs, and what does differ is switched to whole, user by user."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken.domain.errors import Conflict, InvalidRequest, NotFound, Refusal
from unbroken.flow import erase, retention
from unbroken.flow.replay import Report, Wanted, replay
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.in_process import START_MS, InProcess

if TYPE_CHECKING:
    from unbroken.testing.in_process import Phone

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EXAMPLES = int(os.environ.get("UNBROKEN_PROVE_HISTORIES", "10000"))
WIDER = {"late_window_days": "30"}
SERVED = ("events", "chunks", "timelines", "checkpoints")
SIDE = ("replay_users", "replay_timelines", "replay_checkpoints", "replay_events", "replay_runs")


def captured(from_ms: int, hours: int, east: float = 0.0) -> list[dict[str, Any]]:
    """Two hours at a place, one on the way, again."""
    items = []
    for minute in range(0, hours * 60, 10):
        hour = minute // 60
        north = 0.02 * (hour % 3) + 0.02 * (hour % 3 == 2) * (minute % 60) / 60
        items.append({"kind": "location", "t": from_ms + minute * MINUTE, "lat": 51 + north, "lon": 4 + east})
    return items


async def table(platform: InProcess, *names: str) -> list[Any]:
    """Whole tables."""
    return [await platform.context.store.read(lambda tx, name=name: tx.all(f"SELECT * FROM {name}")) for name in names]


async def run(platform: InProcess, **wanted: Any) -> Report:
    return await replay(platform.context, Wanted(platform.app.app_id, **wanted), share=1)


async def late_history(platform: InProcess, people: int = 1) -> list[Phone]:
    """Each has two days that came in time, and between them some hours that came eight days after."""
    phones = []
    for number in range(people):
        phone = await platform.register()
        await platform.link(phone, f"person-{number}")
        phones.append(phone)
    platform.clock.advance_to(START_MS + 2 * DAY)
    for number, phone in enumerate(phones):
        await platform.upload(phone, captured(START_MS, 8, number) + captured(START_MS + DAY, 8, number))
    platform.clock.advance_to(START_MS + 10 * DAY)
    for number, phone in enumerate(phones):
        await platform.upload(phone, captured(START_MS + 12 * HOUR, 5, number + 0.2))
    await platform.settle()
    return phones


def test_a_policy_is_tried_told_set_and_switched_to(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            (phone,) = await late_history(platform)
            user_id = phone.own_user_id
            before = await table(platform, *SERVED)

            report = await run(platform, changes=WIDER)
            (difference,) = report.differ.values()
            assert [(one.from_, one.to) for one in difference.items] == [("too_late", "accepted")]
            assert sum(day.gained for day in difference.days) > 0
            assert (report.same, report.switched, report.waiting) == (0, 0, 1)
            assert await table(platform, *SERVED) == before

            with pytest.raises(Conflict, match="not the one in force"):
                await run(platform, resume=True, switch=True)
            await platform.set_policy(late_window_days="30")
            report = await run(platform, resume=True, switch=True)
            assert (report.switched, report.waiting) == (1, 0)
            assert not any(await table(platform, *SIDE))
            events = json.loads(await platform.timeline(user_id))
            assert START_MS + 12 * HOUR in {event["start_ts"] for event in events}
            assert (await run(platform)).same == 1

    asyncio.run(story())


def test_items_that_make_no_event_have_the_outcome_that_was_switched_to_as_well(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            phone = await platform.register()
            await platform.link(phone, "anna")
            platform.clock.advance_to(START_MS + 10 * DAY)
            await platform.upload(phone, [{"kind": "custom", "t": START_MS + DAY, "name": "paid", "data": {}}])
            await platform.settle()
            await platform.set_policy(late_window_days="30")
            report = await run(platform, changes=WIDER)
            assert (report.waiting, report.switched) == (1, 0)
            report = await run(platform, resume=True, switch=True)
            assert (report.waiting, report.switched) == (0, 1)
            assert [outcome for *_, outcome in await platform.items(phone.own_user_id)] == ["accepted"]
            assert (await run(platform, changes=WIDER)).same == 1

    asyncio.run(story())


def test_a_timeline_that_was_damaged_is_made_whole(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            (phone,) = await late_history(platform)
            before = await platform.timeline(phone.own_user_id)
            last = json.loads(before)[1]["event_id"]

            async def damage(tx: Any) -> None:
                await tx.run("UPDATE events SET is_removed = TRUE, body = $2 WHERE event_id = $1", last, b"")
                await tx.run("DELETE FROM chunks")

            await platform.context.store.write(damage)
            report = await run(platform, switch=True)
            (difference,) = report.differ.values()
            assert [(day.gained, day.lost, day.changed) for day in difference.days] == [(1, 0, 0)]
            changed = await platform.timeline(phone.own_user_id)
            assert json.loads(changed)[0]["event_id"] == json.loads(before)[0]["event_id"]
            assert last in {event["event_id"] for event in json.loads(changed)}

    asyncio.run(story())


def test_one_user_is_replayed_by_any_of_its_ids(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phones = await late_history(platform, people=2)
            second = await platform.register()
            linked = await platform.link(second, "person-0")
            assert linked.id == phones[0].own_user_id != second.own_user_id
            report = await replay(platform.context, Wanted(bytes.fromhex(second.own_user_id)), share=1)
            assert (report.same, report.differ) == (1, {})
            with pytest.raises(NotFound):
                await replay(platform.context, Wanted(bytes(12)), share=1)

    asyncio.run(story())


@pytest.mark.parametrize(
    "changes",
    [{"takeover": "standby"}, {"late_after_handover_hours": "2"}, {"late_window_days": "0"}, {"colour": "red"}],
)
def test_a_policy_that_cannot_be_tried_is_refused(tmp_path, changes):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            with pytest.raises(InvalidRequest):
                await run(platform, changes=changes)
            assert not any(await table(platform, *SIDE))

    asyncio.run(story())


def test_what_came_after_the_replay_is_in_what_is_switched_to(tmp_path):
    async def story() -> bytes:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            (phone,) = await late_history(platform)
            await platform.set_policy(late_window_days="30")
            await run(platform, changes=WIDER)
            await platform.upload(phone, captured(START_MS + 9 * DAY, 5))
            await platform.settle()
            await run(platform, resume=True, switch=True)
            return await platform.timeline(phone.own_user_id)

    async def twin() -> bytes:
        async with InProcess(tmp_path / "twin") as platform:
            (phone,) = await late_history(platform)
            await platform.upload(phone, captured(START_MS + 9 * DAY, 5))
            return await platform.timeline(phone.own_user_id)

    (tmp_path / "twin").mkdir()
    told, expected = (json.loads(asyncio.run(one())) for one in (story, twin))
    assert [(event["start_ts"], event["end_ts"]) for event in told] == [
        (event["start_ts"], event["end_ts"]) for event in expected
    ]


def test_nothing_of_an_erased_user_is_left_beside(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            (phone,) = await late_history(platform)
            await run(platform, changes=WIDER)
            assert all(await table(platform, *SIDE))
            await replay(platform.context, Wanted(bytes.fromhex(phone.own_user_id), WIDER), share=1)
            await erase.erase(platform.context, platform.key, phone.own_user_id, dry_run=False)
            assert await table(platform, *SIDE) == [[], [], [], [], [(platform.app.app_id, *_any(3))]]

    asyncio.run(story())


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def _any(count: int) -> list[Any]:
    return [_Any()] * count


def test_a_second_process_takes_the_replay_over_and_the_first_one_ends(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            await late_history(platform, people=3)

            async def first() -> None:
                await replay(platform.context, Wanted(platform.app.app_id, WIDER), take_over, share=1)

            taken: list[asyncio.Task[Report]] = []

            def take_over(done: int, of: int) -> None:
                if not taken:
                    taken.append(asyncio.create_task(run(platform, resume=True)))

            with pytest.raises(Conflict, match="took this replay over"):
                await first()
            report = await taken[0]
            assert (len(report.differ), report.waiting) == (3, 3)

    asyncio.run(story())


@pytest.mark.parametrize("survived", range(12))
def test_a_replay_that_was_broken_off_is_taken_up(tmp_path, survived):
    """After any of its writes: each user has the old timeline or the new one, and going on ends as if nothing was."""

    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            phones = await late_history(platform, people=3)
            old = [await platform.timeline(phone.own_user_id) for phone in phones]
            await platform.set_policy(late_window_days="30")
            with Failing(platform, after=survived) as failing:
                try:
                    await run(platform, changes=WIDER, switch=True)
                except StoreUnavailable:
                    assert failing.failed
            between = [await platform.timeline(phone.own_user_id) for phone in phones]
            was_left = bool((await table(platform, "replay_runs"))[0])
            await run(platform, changes=None if was_left else WIDER, switch=True, resume=was_left)
            new = [await platform.timeline(phone.own_user_id) for phone in phones]
            assert all(told in pair for told, pair in zip(between, zip(old, new, strict=True), strict=True))
            assert not any(was == is_ for was, is_ in zip(old, new, strict=True))
            assert (await run(platform)).same == 3
            assert not any(await table(platform, *SIDE))

    asyncio.run(story())


@pytest.mark.parametrize("survived", range(4))
def test_what_an_earlier_replay_made_is_never_served_as_that_of_a_later_one_that_was_broken_off(tmp_path, survived):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.set_policy(late_window_days="7")
            (phone,) = await late_history(platform)
            assert (await run(platform, changes=WIDER)).waiting == 1
            old = await platform.timeline(phone.own_user_id)
            await platform.set_policy(late_window_days="8")
            with Failing(platform, after=survived), suppress(StoreUnavailable):
                await run(platform, changes={"late_window_days": "8"})
            with suppress(Refusal):
                await run(platform, switch=True, resume=True)
            assert await platform.timeline(phone.own_user_id) == old, "nine days and a half are too late for both"
            assert {outcome for *_, outcome in await platform.items(phone.own_user_id)} == {"accepted", "too_late"}
            assert (await run(platform)).same == 1

    asyncio.run(story())


class Failing:
    """A store that writes no more after some writes."""

    def __init__(self, platform: InProcess, after: int) -> None:
        self._store = platform.context.store
        self._left = after
        self.failed = False

    def __enter__(self) -> Self:
        self._write = self._store.write
        self._store.write = self.write  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._store.write = self._write  # type: ignore[method-assign]

    async def write(self, call: Any) -> Any:
        if self._left == 0:
            self.failed = True
            raise StoreUnavailable("the machine is gone")
        self._left -= 1
        return await self._write(call)


# A property: replaying any history under its own policy differs in nothing

uploads = st.tuples(
    st.just("upload"),
    st.integers(0, 2),
    st.integers(0, 30).map(lambda hours: hours * HOUR),  # how long ago it begins
    st.integers(1, 7),
    st.sampled_from([0, 0, 40_000, -50_000, 3 * HOUR]),  # how far the phone's clock is wrong
)
others = st.tuples(
    st.sampled_from(["link", "link", "retain", "undo"]), st.integers(0, 2), st.sampled_from(["anna", "ben"])
)
histories = st.lists(
    st.tuples(st.integers(0, 30).map(lambda hours: hours * HOUR), st.one_of(uploads, others)), max_size=20
)


@settings(max_examples=max(10, EXAMPLES // 400), deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_a_replay_under_the_same_policy_changes_nothing(tmp_path_factory, history):
    asyncio.run(_replay_changes_nothing(tmp_path_factory.mktemp("replay"), history))


@pytest.mark.prove
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_a_replay_under_the_same_policy_changes_nothing_proven(tmp_path_factory, history):
    asyncio.run(_replay_changes_nothing(tmp_path_factory.mktemp("replay"), history))


async def _replay_changes_nothing(directory, history) -> None:
    async with InProcess(directory) as platform:
        await platform.set_policy(late_window_days="2", retention_days="4")
        phones = [await platform.register() for _ in range(3)]
        links: list[str] = []
        for wait_ms, step in history:
            platform.clock.advance_to(platform.clock.now_ms() + wait_ms)
            await _take_step(platform, phones, links, step)
            await platform.settle()
        before = await table(platform, *SERVED)
        report = await run(platform, switch=True)
        assert (report.differ, report.moving) == ({}, 0)
        assert await table(platform, *SERVED) == before
        assert not any(await table(platform, *SIDE))


async def _take_step(platform: InProcess, phones: list[Phone], links: list[str], step: Any) -> None:
    try:
        match step:
            case ("upload", number, ago_ms, hours, wrong_ms):
                now_ms = platform.clock.now_ms()
                items = captured((now_ms - ago_ms - wrong_ms) // HOUR * HOUR + number, hours, number / 10)
                await platform.upload(phones[number], items, sent_at=now_ms - wrong_ms)
            case ("link", number, person):
                links.append((await platform.link(phones[number], person)).link_id)
            case ("undo", number, _) if links:
                await platform.undo(links[number % len(links)])
            case ("retain", *_):
                await retention.retain(platform.context, share=1)
    except Refusal:
        return

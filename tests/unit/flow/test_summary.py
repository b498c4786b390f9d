"""Summaries: what they tell is what two looks at everything tell, and they look at no more than what changes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from unbroken import wire
from unbroken.flow import operate
from unbroken.flow.operate import Order
from unbroken.store import timelines
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess, Phone

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TABLET = wire.Device("ios", idiom="pad")


def stay(from_ms: int, lat: float = 51.0) -> list[dict[str, Any]]:
    return [{"kind": "location", "t": from_ms + m * MINUTE, "lat": lat, "lon": 4.0} for m in range(0, 60, 2)]


def on_a_platform(tmp_path, story) -> None:
    async def run() -> None:
        async with InProcess(tmp_path) as platform:
            await story(platform)

    asyncio.run(run())


async def days_in(platform: InProcess, phone: Phone, days: range) -> None:
    for day in days:
        platform.clock.advance_to(T + day * DAY + 20 * HOUR)
        await platform.upload(phone, stay(T + day * DAY + HOUR) + stay(T + day * DAY + 9 * HOUR, 52.0))
    await platform.settle()


async def events(platform: InProcess, users: set[str]) -> set[tuple[Any, ...]]:
    told = set()
    for user_id in users:
        for event in json.loads(await platform.timeline(user_id)):
            told.add((user_id, event["start_ts"], event["end_ts"], event["type"]))
    return told


def by_day(before: set[Any], after: set[Any]) -> list[tuple[str, str, int, int]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for what, keys in (("gained", after - before), ("lost", before - after)):
        for user_id, start, *_ in keys:
            counts[user_id, wire.iso(start // DAY * DAY)[:10], what] += 1
    of = sorted({(user_id, day) for user_id, day, _ in counts})
    return [(user_id, day, counts[user_id, day, "gained"], counts[user_id, day, "lost"]) for user_id, day in of]


def told(summary: wire.Summary) -> list[tuple[str, str, int, int]]:
    return sorted((one.user_id, one.day, one.gained, one.lost) for one in summary.days)


def test_an_undo_and_its_undo_tell_every_event_that_moves(tmp_path):
    async def story(platform):
        tablet, phone = await platform.register(TABLET), await platform.register()
        anna = (await platform.link(tablet, "anna")).id
        await days_in(platform, tablet, range(3))
        linked = await platform.link(phone, "anna")
        await days_in(platform, phone, range(3, 6))
        together = await events(platform, {anna})
        undone = await platform.undo(linked.link_id)
        apart = await events(platform, {anna, phone.own_user_id})
        assert told(undone.summary) == by_day(together, apart) != []
        restored = await platform.undo(undone.undo_id)
        assert await events(platform, {anna}) == together
        assert told(restored.summary) == by_day(apart, together) != []

    on_a_platform(tmp_path, story)


def test_a_disabling_within_a_stay_tells_what_it_makes_of_what_is_there(tmp_path):
    async def story(platform):
        phone = await platform.register()
        anna = (await platform.link(phone, "anna")).id
        await days_in(platform, phone, range(3))
        now_ms = platform.clock.now_ms()
        await platform.upload(phone, stay(now_ms - HOUR, 53.0))
        before = await events(platform, {anna})
        changed = await operate.set_user_state(platform.context, platform.key, anna, "disabled", Order())
        assert told(changed.summary) == by_day(before, await events(platform, {anna}))

    on_a_platform(tmp_path, story)


def test_what_changes_nothing_reads_no_event_and_what_changes_today_reads_todays(tmp_path, monkeypatch):
    async def story(platform):
        phone = await platform.register()
        anna = (await platform.link(phone, "anna")).id
        await days_in(platform, phone, range(30))
        read: list[int] = []
        events_from = timelines.events_from

        async def counted(tx, user_id, from_ms):
            found = await events_from(tx, user_id, from_ms)
            read.append(len(found))
            return found

        monkeypatch.setattr(timelines, "events_from", counted)
        await operate.set_user_state(platform.context, platform.key, anna, "enabled", Order())
        await operate.activate(platform.context, platform.key, phone.install_id, Order())
        assert sum(read) == 0
        await operate.set_user_state(platform.context, platform.key, anna, "disabled", Order())
        assert 0 < sum(read) < 5

    on_a_platform(tmp_path, story)

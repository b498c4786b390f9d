"""As of: what was believed at an instant, who may ask for it, and what is said where that is not known any more."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from unbroken import wire
from unbroken.domain.errors import HistoryExpired, NotFound
from unbroken.flow import events, operate, profile, retention
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from unbroken.testing.in_process import Phone

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TABLET = wire.Device("ios", idiom="pad")


def on_a_platform(tmp_path, story) -> None:
    async def run() -> None:
        async with InProcess(tmp_path) as platform:
            await story(platform)

    asyncio.run(run())


def stay(from_ms: int, lat: float = 51.0) -> list[dict[str, Any]]:
    return [{"kind": "location", "t": from_ms + m * MINUTE, "lat": lat, "lon": 4.0} for m in range(0, 60, 2)]


async def told(platform: InProcess, user_id: str, as_of: int | None = None, by: Phone | None = None) -> list[Any]:
    """(start, latitude) of the events, oldest first; asked by a phone's own token, or by the customer's server."""
    await platform.settle()
    caller = platform.key if by is None else by.caller
    wanted = events.Wanted(None, None, all_types=True, limit=None, cursor=None, as_of=as_of)
    found = json.loads((await events.events(platform.context, caller, user_id, wanted)).body)
    return [(event["start_ts"], round(event.get("latitude") or 0)) for event in found[::-1]]


async def at(platform: InProcess, at_ms: int) -> None:
    platform.clock.advance_to(at_ms)


# What was told then


def test_late_data_was_not_told_before_it_came(tmp_path):
    async def story(platform):
        phone = await platform.register()
        user_id = (await platform.link(phone, "anna")).id
        await at(platform, T + 2 * HOUR)
        await platform.upload(phone, stay(T + HOUR))
        early = await platform.timeline(user_id)
        await at(platform, T + 5 * HOUR)
        await platform.upload(phone, stay(T + 10 * MINUTE, 48.0))
        late = await platform.timeline(user_id)
        await at(platform, T + 9 * HOUR)
        assert await platform.timeline(user_id, as_of=T + 3 * HOUR) == early != late
        assert await platform.timeline(user_id, as_of=T + 6 * HOUR) == late == await platform.timeline(user_id)
        assert await told(platform, user_id, T + HOUR) == []
        with pytest.raises(NotFound, match="not there"):
            await told(platform, user_id, T - 1)

    on_a_platform(tmp_path, story)


def test_a_link_and_its_undo_show_in_what_is_told_before_between_and_after(tmp_path):
    async def story(platform):
        first, second = await platform.register(TABLET), await platform.register()
        anna = (await platform.link(first, "anna")).id
        await at(platform, T + HOUR)
        linked = await platform.link(second, "anna")
        await at(platform, T + 3 * HOUR)
        await platform.upload(second, stay(T + 2 * HOUR, 48.0))
        between = await platform.timeline(anna)
        await at(platform, T + 4 * HOUR)
        await platform.undo(linked.link_id)
        await at(platform, T + 5 * HOUR)

        assert json.loads(between)
        assert await platform.timeline(anna, as_of=T + 3 * HOUR) == between
        assert await told(platform, anna) == []
        assert await told(platform, anna, T + 4 * HOUR) == []
        assert [lat for _, lat in await told(platform, second.own_user_id)] == [48]

        async def installs(as_of: int) -> list[tuple[str, str]]:
            page = await profile.installs(platform.context, platform.key, anna, 100, None, as_of)
            return [(one.install_id, one.state) for one in page.installs]

        assert await installs(T + HOUR - 1) == [(first.install_id, "active")]
        assert await installs(T + HOUR) == [(first.install_id, "superseded"), (second.install_id, "active")]
        assert await installs(T + 4 * HOUR) == [(first.install_id, "active")]

    on_a_platform(tmp_path, story)


def test_the_ledger_of_an_instant_ends_with_what_had_been_said_by_then(tmp_path):
    async def story(platform):
        phone = await platform.register()
        await at(platform, T + HOUR)
        user_id = (await platform.link(phone, "anna")).id
        await at(platform, T + 2 * HOUR)
        await operate.set_user_state(platform.context, platform.key, user_id, "disabled", operate.Order())

        async def kinds(as_of: int) -> list[str]:
            page = await profile.facts(platform.context, platform.key, user_id, 100, None, as_of)
            return [fact.kind for fact in page.facts]

        assert await kinds(T + HOUR - 1) == ["registered"]
        assert await kinds(T + HOUR) == ["registered", "linked"]
        assert await kinds(T + 2 * HOUR) == ["registered", "linked", "user disabled"]

    on_a_platform(tmp_path, story)


def test_the_ledger_of_an_instant_is_told_by_the_installs_that_were_believed_to_be_the_users_then(tmp_path):
    async def story(platform):
        first, second = await platform.register(TABLET), await platform.register()
        anna = (await platform.link(first, "anna")).id
        await at(platform, T + HOUR)
        linked = await platform.link(second, "anna")
        await at(platform, T + 2 * HOUR)
        await platform.undo(linked.link_id)

        async def told_of(user_id: str, as_of: int | None) -> list[tuple[str, str | None]]:
            page = await profile.facts(platform.context, platform.key, user_id, 2, None, as_of)
            facts = page.facts
            while page.next_cursor is not None:
                page = await profile.facts(platform.context, platform.key, user_id, 2, page.next_cursor, as_of)
                facts = [*facts, *page.facts]
            return [(fact.kind, fact.fields.get("install_id")) for fact in facts]

        of_first = [("registered", first.install_id), ("linked", first.install_id)]
        of_second = [("registered", second.install_id), ("linked", second.install_id), ("unlinked", None)]
        of_both = [of_first[0], of_second[0], of_first[1], of_second[1]]
        assert await told_of(anna, T + HOUR - 1) == of_first
        assert await told_of(anna, T + HOUR) == of_both == await told_of(second.own_user_id, T + 2 * HOUR - 1)
        assert await told_of(anna, T + 2 * HOUR) == of_first == await told_of(anna, None)
        assert await told_of(second.own_user_id, T + 2 * HOUR) == of_second
        assert await told_of(second.own_user_id, None) == of_second
        with pytest.raises(NotFound, match="not there"):
            await told_of(anna, T - 1)

    on_a_platform(tmp_path, story)


# Who may ask


async def ben_and_anna(platform: InProcess, device: wire.Device | None) -> tuple[Phone, Phone]:
    """Ben's account; Anna's device is linked to it by mistake from the second hour to the third, and captures."""
    ben = await platform.register()
    await platform.link(ben, "ben")
    await at(platform, T + HOUR)
    await platform.upload(ben, stay(T, 48.0))
    anna = await platform.register(device)
    await at(platform, T + 2 * HOUR)
    linked = await platform.link(anna, "ben")
    await at(platform, T + 2 * HOUR + 50 * MINUTE)
    await platform.upload(anna, [one for one in stay(T + 2 * HOUR) if one["t"] < platform.clock.now_ms()])
    await at(platform, T + 3 * HOUR)
    await platform.undo(linked.link_id)
    await at(platform, T + 50 * DAY)
    return ben, anna


def test_the_token_of_an_install_that_was_linked_by_mistake_reads_nobody_elses_past(tmp_path):
    async def story(platform):
        _, anna = await ben_and_anna(platform, TABLET)
        assert await told(platform, anna.own_user_id, by=anna)
        with pytest.raises(NotFound):
            await told(platform, anna.own_user_id, T + 2 * HOUR + MINUTE, by=anna)
        assert await told(platform, anna.own_user_id, T + 2 * HOUR + MINUTE)  # the customer's server may know

    on_a_platform(tmp_path, story)


def test_nor_does_the_owner_read_what_the_wrong_phone_captured_meanwhile(tmp_path):
    async def story(platform):
        ben, anna = await ben_and_anna(platform, None)
        instant = T + 2 * HOUR + 55 * MINUTE
        assert [lat for _, lat in await told(platform, ben.own_user_id, instant)][-1] == 51
        with pytest.raises(NotFound):
            await told(platform, ben.own_user_id, instant, by=ben)
        with pytest.raises(NotFound):
            await told(platform, anna.own_user_id, instant, by=anna)
        assert [lat for _, lat in await told(platform, ben.own_user_id, T + 2 * HOUR - 1, by=ben)] == [48]
        assert await told(platform, ben.own_user_id, T + 4 * HOUR, by=ben) == await told(platform, ben.own_user_id)

    on_a_platform(tmp_path, story)


def test_an_id_that_stays_with_the_account_shows_its_token_nothing_of_the_phone_that_left(tmp_path):
    """The first link is undone: the id it gave the person stays with the second phone, the first gets a fresh one."""

    async def story(platform):
        first = await platform.register(TABLET)
        linked = await platform.link(first, "anna")
        await at(platform, T + HOUR)
        await platform.upload(first, stay(T, 48.0))
        second = await platform.register()
        await platform.link(second, "anna")
        await at(platform, T + 2 * HOUR)
        await platform.undo(linked.link_id)
        await at(platform, T + 3 * HOUR)
        assert [lat for _, lat in await told(platform, linked.id, T + HOUR)] == [48]
        with pytest.raises(NotFound):
            await told(platform, linked.id, T + HOUR, by=second)

    on_a_platform(tmp_path, story)


def test_what_was_captured_before_a_link_is_not_the_account_holders(tmp_path):
    async def story(platform):
        await platform.set_policy(used_install="drop")
        ben, tablet = await platform.register(), await platform.register(TABLET)
        await platform.link(ben, "ben")
        await at(platform, T + HOUR)
        await platform.upload(tablet, stay(T))
        await at(platform, T + 2 * HOUR)
        await platform.link(tablet, "ben")
        assert await told(platform, tablet.own_user_id, T + HOUR)
        with pytest.raises(NotFound):
            await told(platform, tablet.own_user_id, T + HOUR, by=tablet)

    on_a_platform(tmp_path, story)


def test_a_token_reads_its_own_past(tmp_path):
    async def story(platform):
        old = await platform.register()
        user_id = (await platform.link(old, "anna")).id
        await at(platform, T + HOUR)
        await platform.upload(old, stay(T))
        new = await platform.register()
        await platform.link(new, "anna")
        await at(platform, T + 9 * HOUR)
        await platform.upload(new, stay(T + 8 * HOUR, 48.0))
        assert await told(platform, user_id, T + 2 * HOUR, by=new) == [(T, 51)]
        assert len(await told(platform, user_id, by=new)) > 1

    on_a_platform(tmp_path, story)


# After retention


async def a_hundred_days(platform: InProcess, undo_on_day: int | None = None) -> tuple[Phone, dict[int, bytes]]:
    """A phone that uploads each day, what was told on some evenings, and everything due let go of at the end."""
    phone = await platform.register()
    user_id = (await platform.link(phone, "anna")).id
    evenings = {}
    spare = await platform.register()
    for day in range(130):
        await at(platform, T + day * DAY + 2 * HOUR)
        if day == 10:
            linked = await platform.link(spare, "anna")
            await operate.activate(platform.context, platform.key, phone.install_id, operate.Order())
        if day == undo_on_day:
            await platform.undo(linked.link_id)
        await platform.upload(phone, stay(T + day * DAY + HOUR, 51 + day % 3))
        if day in {20, 60, 80, 129}:
            evenings[platform.clock.now_ms()] = await platform.timeline(user_id)
    (done,) = await retention.retain(platform.context, share=1)
    assert done.payloads > 30
    return phone, evenings


def test_after_retention_the_past_is_told_whole_or_refused(tmp_path):
    async def story(platform):
        phone, evenings = await a_hundred_days(platform)
        told_then = {}
        for instant in evenings:
            try:
                told_then[instant] = await platform.timeline(phone.own_user_id, as_of=instant)
            except HistoryExpired:
                told_then[instant] = None
        assert list(told_then.values())[:2] == [None, None]
        for instant, bytes_then in list(evenings.items())[2:]:
            assert told_then[instant] == bytes_then

    on_a_platform(tmp_path, story)


def test_after_retention_a_belief_that_was_given_up_since_is_not_told_by_halves(tmp_path):
    async def story(platform):
        phone, evenings = await a_hundred_days(platform, undo_on_day=85)
        for instant in list(evenings)[:3]:
            with pytest.raises(HistoryExpired):
                await platform.timeline(phone.own_user_id, as_of=instant)

    on_a_platform(tmp_path, story)

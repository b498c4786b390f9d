"""Verify: whom it looks at, what is no finding, what retention leaves, and what is repaired."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.flow.test_archive import STEPS, Run, Step, exported, imported, people_of, two
from tests.unit.flow.test_replay import late_history
from tests.unit.flow.test_retention import captured, retain

from unbroken.domain.errors import NotFound
from unbroken.domain.ids import AppId, UserId
from unbroken.flow import erase
from unbroken.flow.replay import Wanted as Replay
from unbroken.flow.replay import replay
from unbroken.flow.verify import Report, Rule, Wanted, verify
from unbroken.flow.verify.sampled import Sampler
from unbroken.testing.in_process import KEY_RING, START_MS, InProcess, Phone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

DAY = 86_400_000
NOBODY = b"\xee" * 12


def on_a_platform(directory: Path, story: Callable[[InProcess], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with InProcess(directory) as platform:
            await story(platform)

    asyncio.run(whole())


async def look(platform: InProcess, wanted: Wanted | None = None, *, is_repairing: bool = False) -> Report:
    return await verify(platform.context, wanted or Wanted(), is_repairing=is_repairing, share=1)


async def run(platform: InProcess, statement: str) -> None:
    """Behind everybody's back; `{anna}` stands for that external id as it is sealed."""
    for name in ("anna", "ben", "bert"):
        statement = statement.replace(f"{{{name}}}", f"'{KEY_RING.seal(1, platform.app.app_id, name)}'")
    await platform.context.store.write(lambda tx: tx.run(statement))


async def three_people(platform: InProcess) -> list[Phone]:
    """Anna with two phones, Ben, and somebody unknown."""
    phones = [await platform.register() for _ in range(4)]
    platform.clock.advance_to(START_MS + DAY)
    for phone in phones:
        await platform.upload(phone, captured(0, START_MS, 5))
    for phone, name in zip(phones, ("anna", "ben"), strict=False):
        await platform.link(phone, name)
    await platform.set_policy(used_install="claim")
    await platform.link(phones[2], "anna")
    await platform.settle()
    return phones


# Whom it looks at


def test_without_a_choice_everything_is_looked_at_once(tmp_path):
    async def story(platform: InProcess) -> None:
        await three_people(platform)
        report = await look(platform)
        assert report.findings == []
        assert {name: report.checked[name] for name in ("people", "installs", "payloads")} == {
            "people": 3, "installs": 4, "payloads": 4,
        }  # fmt: skip
        assert report.checked["rows"] > 20

    on_a_platform(tmp_path, story)


def test_a_person_is_looked_at_by_any_of_its_ids(tmp_path):
    async def story(platform: InProcess) -> None:
        phones = await three_people(platform)
        for phone in (phones[0], phones[2]):  # the second redirects
            report = await look(platform, Wanted(user_id=UserId(bytes.fromhex(phone.own_user_id))))
            assert (report.checked["people"], report.checked["installs"], report.checked["rows"]) == (1, 2, 0)

    on_a_platform(tmp_path, story)


def test_a_person_whose_own_row_is_gone_is_found_by_the_ledger(tmp_path):
    async def story(platform: InProcess) -> None:
        phone = (await three_people(platform))[3]
        await run(platform, "DELETE FROM installs WHERE own_user = user_id AND sealed_id IS NULL")
        report = await look(platform, Wanted(user_id=UserId(bytes.fromhex(phone.own_user_id))))
        assert Rule.TABLES_ARE_FOLD in {finding.rule for finding in report.findings}

    on_a_platform(tmp_path, story)


def test_a_sample_is_as_large_as_it_should_be_wherever_it_begins(tmp_path):
    async def story(platform: InProcess) -> None:
        await three_people(platform)
        sizes = {(await look(platform, Wanted(sample=2))).checked["people"] for _ in range(20)}
        assert sizes == {2}
        assert (await look(platform, Wanted(sample=9))).checked["people"] == 3
        assert (await look(platform, Wanted(app_id=platform.app.app_id))).checked["people"] == 3

    on_a_platform(tmp_path, story)


@pytest.mark.parametrize("wanted", [Wanted(user_id=UserId(NOBODY)), Wanted(app_id=AppId(NOBODY))])
def test_who_is_not_there_cannot_be_verified(tmp_path, wanted):
    async def story(platform: InProcess) -> None:
        with pytest.raises(NotFound, match="There is no"):
            await look(platform, wanted)

    on_a_platform(tmp_path, story)


# What is no finding


def test_a_timeline_that_is_due_is_passed_over_and_what_waits_is_fine(tmp_path):
    async def story(platform: InProcess) -> None:
        phones = await three_people(platform)
        await platform.upload(phones[3], captured(0, START_MS + 6 * 3_600_000, 1))
        assert (await look(platform)).findings == []
        anybody = "SELECT user_id, 0, 1 FROM users WHERE redirect IS NULL LIMIT 1"
        await run(platform, f"INSERT INTO due (user_id, from_ms, version) {anybody}")
        report = await look(platform)
        assert (report.findings, report.pending) == ([], 1)

    on_a_platform(tmp_path, story)


def test_a_person_of_phones_that_never_uploaded_is_right_after_an_undo_and_a_link_again(tmp_path):
    async def story(platform: InProcess) -> None:
        first, second = await platform.register(), await platform.register()
        await platform.link(first, "anna")
        wrong = await platform.link(second, "anna")
        await platform.undo(wrong.link_id)
        await platform.link(second, "anna")
        await platform.settle()

        assert (await look(platform)).findings == []

    on_a_platform(tmp_path, story)


def test_a_late_window_that_was_changed_is_no_finding_and_hides_none(tmp_path):
    async def story(platform: InProcess) -> None:
        await platform.set_policy(late_window_days="7")
        await late_history(platform)
        await platform.set_policy(late_window_days="30")
        assert (await look(platform)).findings == []
        await replay(platform.context, Replay(platform.app.app_id, {"late_window_days": "30"}, switch=True), share=1)
        assert (await look(platform)).findings == []
        await run(platform, "DELETE FROM events WHERE event_id = (SELECT min(event_id) FROM events)")
        assert {finding.rule for finding in (await look(platform)).findings} == {Rule.LAW_8}

    on_a_platform(tmp_path, story)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=14), takeover=st.sampled_from(["never", "standby"]))
def test_any_history_gives_no_finding_here_and_where_it_moves(tmp_path_factory, steps, takeover):
    async def story() -> None:
        here, there = two(tmp_path_factory.mktemp("lived"))
        async with here, there:
            await here.set_policy(takeover=takeover, used_install="claim" if len(steps) % 2 else "refuse")
            await Run(here).tell([Step("register"), Step("register"), *steps])
            assert (await look(here)).findings == []
            await imported(there, *[await exported(here, user_id) for user_id in await people_of(here)])
            await there.settle()
            assert (await look(there)).findings == []

    asyncio.run(story())


def test_a_person_whose_only_used_install_was_taken_away_is_right_where_it_moves(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            unused, used = await here.register(), await here.register()
            await here.link(unused, "anna")
            wrong = await here.link(used, "anna")
            here.clock.advance_to(START_MS + 60_000)
            await here.upload(used, captured(0, START_MS + 30_000, 20))
            await here.settle()
            await here.undo(wrong.link_id)
            await here.settle()
            assert (await look(here)).findings == []
            await imported(there, *[await exported(here, user_id) for user_id in await people_of(here)])
            await there.settle()
            assert (await look(there)).findings == []

    asyncio.run(story())


# After retention


async def a_hundred_days(platform: InProcess) -> Phone:
    """One upload a day, and those that are due let go of."""
    phone = await platform.register()
    await platform.link(phone, "anna")
    for day in range(100):
        platform.clock.advance_to(START_MS + (day + 1) * DAY)
        await platform.upload(phone, captured(0, START_MS + day * DAY, 6, every=60))
    await platform.settle()
    assert (await retain(platform)).payloads > 5
    return phone


def test_what_retention_let_go_of_is_no_finding(tmp_path):
    async def story(platform: InProcess) -> None:
        await a_hundred_days(platform)
        assert (await look(platform)).findings == []

    on_a_platform(tmp_path, story)


@pytest.mark.parametrize(
    ("statement", "is_repaired"),
    [
        ("UPDATE floors SET state = substr(state, 1, 5)", False),
        ("UPDATE floors SET at_ms = 1", False),
        ("UPDATE floors SET user_id = substr(state, 1, 12)", False),
        ("DELETE FROM floors", False),
        ("UPDATE events SET end_ms = end_ms + 1 WHERE start_ms = (SELECT min(start_ms) FROM events)", False),
        ("UPDATE chunks SET body = substr(body, 1, 1) WHERE day = (SELECT min(day) FROM chunks)", False),
        ("DELETE FROM events WHERE start_ms = (SELECT min(start_ms) FROM events)", False),
        ("UPDATE chunks SET body = substr(body, 1, 1) WHERE day = (SELECT max(day) FROM chunks)", True),
        ("UPDATE timelines SET places = substr(places, 1, 1)", True),
        ("DELETE FROM chunks WHERE day = (SELECT max(day) FROM chunks)", True),
    ],
)
def test_after_retention_only_what_can_still_be_proved_is_repaired(tmp_path, statement, is_repaired):
    async def story(platform: InProcess) -> None:
        phone = await a_hundred_days(platform)
        before = await platform.timeline(phone.own_user_id)
        await run(platform, statement)
        assert (await look(platform)).findings != []
        repaired = await look(platform, is_repairing=True)
        assert (repaired.findings == [], bool(repaired.repaired)) == (is_repaired, is_repaired)
        if is_repaired:
            assert (await look(platform)).findings == []
            assert await platform.timeline(phone.own_user_id) == before

    on_a_platform(tmp_path, story)


# Repair


def test_a_row_of_identity_and_a_timeline_are_repaired_together(tmp_path):
    async def story(platform: InProcess) -> None:
        phones = await three_people(platform)
        before = [await platform.timeline(phone.own_user_id) for phone in phones[:2]]
        await run(platform, "UPDATE installs SET standing = 'superseded' WHERE sealed_id = {ben}")
        await run(
            platform, "DELETE FROM events WHERE user_id = (SELECT user_id FROM carriers WHERE sealed_id = {anna})"
        )
        report = await look(platform, is_repairing=True)
        assert report.findings == []
        assert {finding.table for finding in report.repaired} >= {"installs", "events"}
        assert [await platform.timeline(phone.own_user_id) for phone in phones[:2]] == before

    on_a_platform(tmp_path, story)


def test_what_two_rows_say_against_the_ledger_is_told_and_left(tmp_path):
    async def story(platform: InProcess) -> None:
        await three_people(platform)
        await run(platform, "UPDATE facts SET sealed_id = {bert} WHERE sealed_id = {ben}")  # a damaged fact
        found = (await look(platform)).findings
        report = await look(platform, is_repairing=True)
        assert (report.findings, report.repaired) == (found, [])
        assert len(found) > 1

    on_a_platform(tmp_path, story)


# Sampled


def test_a_sampled_finding_is_told_once_and_stands_until_it_is_repaired(tmp_path):
    async def story(platform: InProcess) -> None:
        phones = await three_people(platform)
        sampler = Sampler(platform.context, people=3, share=1)
        assert await sampler.look() == []
        assert sampler.checked > 0
        await run(platform, "UPDATE users SET touched_at = 7 WHERE sealed_id = {anna}")
        told: list[Any] = []
        while not told:
            told = await sampler.look()
        assert [str(one.rule) for one in told] == ["TABLES_DIFFER_FROM_LEDGER"]
        assert await sampler.look() == []
        assert set(sampler.findings) == set(told)
        await look(platform, Wanted(user_id=told[0].user_id), is_repairing=True)
        assert await sampler.look() == []
        assert sampler.findings == frozenset()
        assert phones

    on_a_platform(tmp_path, story)


def test_a_finding_goes_with_the_person_who_is_erased(tmp_path):
    async def story(platform: InProcess) -> None:
        phones = await three_people(platform)
        sampler = Sampler(platform.context, people=3, share=1)
        await run(platform, "UPDATE users SET touched_at = 7 WHERE sealed_id = {ben}")
        while not await sampler.look():
            pass
        await erase.erase(platform.context, platform.key, phones[1].own_user_id, dry_run=False)
        assert await sampler.look() == []
        assert sampler.findings == frozenset()

    on_a_platform(tmp_path, story)

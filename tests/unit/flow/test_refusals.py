"""A refused link call leaves its trace: when, by which row, on what, what would have had to differ; nothing else."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.unit.flow.test_archive import anna, everything, exported, imported, lines, same_person, two
from typer.testing import CliRunner

from unbroken import wire
from unbroken.cli import program
from unbroken.domain.errors import AuthCodeExpired, Refusal
from unbroken.flow import administer, codes, erase, erase_part, explain, link, operate, tokens
from unbroken.flow.authenticate import CredentialCaller, KeyCaller
from unbroken.flow.operate import Order
from unbroken.flow.repeat import Repeatable
from unbroken.flow.traces import Names, search
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

MINUTE, HOUR = 60_000, 3_600_000
ORDER = Order(None, dry_run=False, same=None)
CANARY = "canary@example.org"


def fix(at_ms: int) -> dict[str, object]:
    return {"kind": "location", "t": at_ms, "lat": 51.0, "lon": 3.7, "acc": 10}


@pytest.fixture
def platform_run(tmp_path):
    def run(story):
        async def whole():
            async with InProcess(tmp_path) as platform:
                return await story(platform)

        return asyncio.run(whole())

    return run


async def refused(platform, phone, external_id="anna", ticket=None):
    """The code of the refusal."""
    body = wire.Link(external_id, link_ticket=ticket)
    with pytest.raises(Refusal) as caught:
        await link.link(platform.context, platform.key, phone.install_id, body, dry_run=False, same=None)
    return caught.value.code


async def traces(platform, phone, at=None):
    return (await explain.explain(platform.context, platform.key, phone.install_id, at)).refused_links


async def used(platform):
    phone = await platform.register()
    await platform.upload(phone, [fix(platform.clock.now_ms())])
    return phone


# How each row comes about: the phone that is refused, and what it is to be linked to


async def row_1(platform):
    return await platform.register(), "null"


async def row_4(platform):
    await platform.set_policy(linking="off")
    return await platform.register(), "anna"


async def row_5(platform):
    phone = await platform.register()
    await tokens.reset(platform.context, CredentialCaller(phone.credential))
    return phone, "anna"


async def row_6(platform):
    phone = await platform.register()
    await operate.set_install_state(platform.context, platform.key, phone.install_id, "disabled", ORDER)
    return phone, "anna"


async def row_7(platform):
    phone = await platform.register()
    await platform.link(phone, "bert")
    return phone, "anna"


async def row_8(platform):
    phone = await platform.register()
    await platform.link(phone, "anna")
    await platform.link(await platform.register(), "anna")
    return phone, "anna"


async def row_ticket(platform):
    await platform.set_policy(link_ticket="required")
    return await platform.register(), "anna"


async def row_burst(platform):
    await platform.set_policy(link_burst="1")
    await platform.link(await platform.register(), "anna")
    return await platform.register(), "anna"


async def row_11(platform):
    linked = await platform.link(await platform.register(), "anna")
    await operate.set_user_state(platform.context, platform.key, linked.id, "disabled", ORDER)
    return await platform.register(), "anna"


async def row_13(platform):
    await platform.link(await platform.register(), "anna")
    return await used(platform), "anna"


ROWS = {
    "1": (row_1, "INVALID_EXTERNAL_ID", []),
    "4": (row_4, "USERLINKING_NOT_CONFIGURED", ["linking"]),
    "5": (row_5, "INSTALL_DELETED", ["install"]),
    "6": (row_6, "INSTALL_DISABLED", ["state", "install"]),
    "7": (row_7, "INSTALL_LINKED_TO_OTHER_USER", ["whose", "whose", "install"]),
    "8": (row_8, "INSTALL_DEACTIVATED", ["state", "install"]),
    "ticket": (row_ticket, "INVALID_LINK_TICKET", ["ticket", "link_ticket"]),
    "burst": (row_burst, "LINK_BURST", ["link_burst"]),
    "11": (row_11, "USER_DISABLED", ["person_is_disabled"]),
    "13": (
        row_13,
        "CANNOT_LINK_EXISTING_PERSON_TO_OTHER_PERSON",
        ["is_pristine", "install", "used_install", "used_install"],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_that_refuses_leaves_its_trace_and_nothing_else(platform_run, row):
    prepare, code, changes = ROWS[row]

    async def story(platform):
        phone, external_id = await prepare(platform)
        platform.clock.advance_to(T + HOUR)
        before = await everything(platform)
        assert await refused(platform, phone, external_id) == code
        after = await everything(platform)
        assert {name for name in after if after[name] != before[name]} == {"refused_links"}
        policies = [fact[0] for fact in after["facts"] if fact[4] == "policy changed"]
        return platform, await traces(platform, phone), max(policies, default=0)

    platform, (trace,), version = platform_run(story)
    assert (trace.row, trace.error_code, trace.at) == (row, code, wire.iso(T + HOUR))
    assert trace.actor == platform.key.actor
    assert trace.policy_version == version
    assert trace.sentence
    assert [next(iter(one.if_)) for one in trace.counterfactuals] == changes


def test_a_trace_says_what_was_looked_at_under_the_policy_of_that_moment(platform_run):
    async def story(platform):
        phone, _ = await row_13(platform)
        await refused(platform, phone)
        await platform.set_policy(used_install="claim")
        await platform.link(phone, "anna")
        return await traces(platform, phone)

    (trace,) = platform_run(story)
    assert (trace.policy_version, trace.inputs["used_install"], trace.inputs["is_pristine"]) == (0, "refuse", False)
    assert "Had the app's policy used_install been claim, it would have been linked (row 14)." in [
        one.sentence for one in trace.counterfactuals
    ]


def test_the_last_twenty_are_kept_newest_first(platform_run):
    async def story(platform):
        phone, _ = await row_7(platform)
        other, _ = await row_7(platform)
        await refused(platform, other)
        for minute in range(23):
            platform.clock.advance_to(T + minute * MINUTE)
            await refused(platform, phone)
        return await traces(platform, phone), await traces(platform, other)

    of_phone, of_other = platform_run(story)
    assert [trace.at for trace in of_phone] == [wire.iso(T + minute * MINUTE) for minute in range(22, 2, -1)]
    assert len(of_other) == 1


def test_only_what_had_been_refused_by_then_is_told_of_an_earlier_instant(platform_run):
    async def story(platform):
        phone, _ = await row_7(platform)
        for hour in (1, 2):
            platform.clock.advance_to(T + hour * HOUR)
            await refused(platform, phone)
        return [len(await traces(platform, phone, T + hour * HOUR)) for hour in (0.5, 1, 1.5, 2)]

    assert platform_run(story) == [0, 1, 1, 2]


def test_a_dry_run_and_the_repeat_of_a_kept_refusal_leave_none(platform_run):
    async def story(platform):
        phone, external_id = await row_1(platform)
        with pytest.raises(Refusal):
            await platform.link(phone, external_id, dry_run=True)
        assert await traces(platform, phone) == []
        same = Repeatable(platform.key.key_id, "a key", b"h" * 32)
        body = wire.Link(external_id)
        for _ in range(3):
            with pytest.raises(Refusal):
                await link.link(platform.context, platform.key, phone.install_id, body, dry_run=False, same=same)
        return await traces(platform, phone)

    assert len(platform_run(story)) == 1


def test_the_key_of_another_app_leaves_nothing_at_an_install(platform_run):
    async def story(platform):
        phone = await platform.register()
        made = await administer.create_app(platform.context, "other")
        app = await administer.app_by_id(platform.context, made.app_id)
        stranger = KeyCaller(app, platform.key.key_id, platform.key.scopes, "stranger")
        for external_id in ("anna", "null"):
            body = wire.Link(external_id)
            with pytest.raises(Refusal):
                await link.link(platform.context, stranger, phone.install_id, body, dry_run=False, same=None)
        for unknown in ("0" * 24, "no id"):
            with pytest.raises(Refusal):
                await link.link(platform.context, platform.key, unknown, wire.Link("a"), dry_run=False, same=None)
        return (await everything(platform))["refused_links"]

    assert platform_run(story) == []


def test_a_code_that_is_not_taken_and_a_row_that_refuses_it_leave_their_traces(platform_run):
    async def story(platform):
        phone, _ = await row_13(platform)
        minted = await codes.mint(platform.context, platform.key, "anna", None)
        with pytest.raises(Refusal):
            await codes.redeem(platform.context, phone.caller, minted.authentication_code, None)
        platform.clock.advance_to(T + HOUR)
        with pytest.raises(AuthCodeExpired):
            await codes.redeem(platform.context, phone.caller, minted.authentication_code, None)
        return phone, await traces(platform, phone)

    phone, found = platform_run(story)
    assert [(trace.row, trace.error_code) for trace in found] == [
        ("code", "AUTH_CODE_EXPIRED"),
        ("13", "CANNOT_LINK_EXISTING_PERSON_TO_OTHER_PERSON"),
    ]
    assert {trace.actor for trace in found} == {f"install:{phone.install_id}"}


class FailsAfter:
    """A store that can write some more times."""

    def __init__(self, store, writes):
        self._store = store
        self._left = writes

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def write(self, call):
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailable("The disk is full.")
        return await self._store.write(call)


def test_where_the_trace_cannot_be_kept_nothing_is_kept_and_the_caller_is_told_to_try_again(platform_run):
    async def story(platform):
        phone, _ = await row_7(platform)
        before = await everything(platform)
        full = replace(platform.context, store=FailsAfter(platform.context.store, 1))
        with pytest.raises(StoreUnavailable):
            await link.link(full, platform.key, phone.install_id, wire.Link("anna"), dry_run=False, same=None)
        assert await everything(platform) == before
        await refused(platform, phone)
        return await traces(platform, phone)

    assert len(platform_run(story)) == 1


def test_traces_go_with_the_person_and_those_of_others_never_named_it(platform_run, tmp_path):
    async def story(platform):
        mine, other = await platform.register(), await platform.register()
        linked = await platform.link(mine, CANARY)
        await platform.link(other, "bert")
        await refused(platform, mine, "bert")
        await refused(platform, other, CANARY)
        found = await erase.names(platform.context, platform.key, linked.id)
        told = await erase.erase(platform.context, platform.key, linked.id, dry_run=False)
        names = Names(found.ids, found.external_ids, [CANARY])
        return (
            told.deleted["refused links"],
            await search(platform.context, tmp_path, names),
            await traces(platform, other),
        )

    deleted, left, of_other = platform_run(story)
    assert (deleted, left) == (1, {})
    assert len(of_other) == 1


def test_traces_go_with_an_install_that_is_erased(platform_run):
    async def story(platform):
        phone, _ = await row_7(platform)
        await refused(platform, phone)
        await erase_part.erase_install(platform.context, platform.key, phone.install_id, dry_run=False)
        return await traces(platform, phone)

    assert platform_run(story) == []


def test_traces_leave_with_an_export_and_come_with_an_import(tmp_path):
    async def story():
        here, there = two(tmp_path)
        async with here, there:
            user_id, phones = await anna(here)
            for external_id in ("bert", "carl"):
                with suppress(Refusal):
                    await here.link(phones[2], external_id)
            archive = await exported(here, user_id)
            assert [line["trace"]["row"] for line in lines(archive, "refused_link")] == ["7", "7"]
            await imported(there, archive)
            there.clock.advance_to(here.clock.now_ms())
            assert same_person(await exported(there, user_id)) == same_person(archive)
            assert await traces(there, phones[2]) == await traces(here, phones[2])

    asyncio.run(story())


def test_the_command_line_tells_them(tmp_path):
    data = tmp_path / "data"
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", str(data)]).exit_code == 0

    async def fill():
        async with InProcess(data) as platform:
            phone, _ = await row_13(platform)
            await refused(platform, phone)
            return phone.install_id

    install_id = asyncio.run(fill())
    words = ["explain", install_id, "--data", str(data)]
    told = CliRunner().invoke(program, words)
    assert told.exit_code == 0, told.stderr
    assert "row 13, CANNOT_LINK_EXISTING_PERSON_TO_OTHER_PERSON: The install had uploaded" in told.stdout
    assert "Had the app's policy used_install been drop, it would have been linked (row 15)." in told.stdout
    (trace,) = json.loads(CliRunner().invoke(program, [*words, "--json"]).stdout)["refused_links"]
    assert trace["row"] == "13"

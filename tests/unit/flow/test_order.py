"""The order of facts: what is decided on the tables is what the ledger says when it is folded anew.

In each story the clock stands still, or a call was let in before something else changed: the place of a fact in the
ledger is all that tells what it was decided on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.flow.agreement import assert_tables_are_the_fold, looked_at

from unbroken import wire
from unbroken.domain.errors import Conflict, UserlinkingNotConfigured
from unbroken.domain.ids import InstallId
from unbroken.flow import codes, operate, register, rename, tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.flow.operate import Order
from unbroken.store import identity, ledger
from unbroken.testing.in_process import START_MS, InProcess, Phone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

TABLET = wire.Device("ios", idiom="pad")


def tell(directory: Path, story: Callable[[InProcess], Awaitable[None]]) -> None:
    async def told() -> None:
        async with InProcess(directory) as platform:
            await story(platform)

    asyncio.run(told())


async def states(platform: InProcess, *phones: Phone) -> list[str]:
    return [(await tokens.own_state(platform.context, phone.caller)).state for phone in phones]


async def facts(platform: InProcess) -> list[tuple[str, int]]:
    app_id = platform.app.app_id
    found = await platform.context.store.read(lambda tx: ledger.facts_of_app(tx, app_id, 0, 1000))
    return [(entry.kind.value, entry.at - START_MS) for entry in found]


async def give_name(platform: InProcess, phone: Phone, external_id: str, *, release_old: bool) -> None:
    body = wire.Rename(external_id, release_old)
    await rename.rename(platform.context, platform.key, phone.own_user_id, body, Order())


def test_a_caller_who_was_let_in_under_an_older_policy_acts_under_the_one_in_force(tmp_path):
    async def story(platform: InProcess) -> None:
        older, newer = await platform.register(), await platform.register()
        await platform.link(newer, "anna")
        let_in = platform.key
        await platform.set_policy(precedence="last_linked")
        platform.key = let_in
        assert (await platform.link(older, "anna")).state == "active"
        await assert_tables_are_the_fold(platform, [older, newer])

    tell(tmp_path, story)


@pytest.mark.parametrize("way", ["code", "registration", "linking off"])
def test_codes_and_registrations_ask_for_the_policy_in_force(tmp_path, way):
    async def story(platform: InProcess) -> None:
        first, tablet = await platform.register(), await platform.register(TABLET)
        await platform.link(first, "anna")
        let_in = platform.key
        code = (await codes.mint(platform.context, let_in, "anna", None)).authentication_code
        await platform.upload(tablet, [{"kind": "location", "t": START_MS, "lat": 51.0, "lon": 4.0}])
        await platform.set_policy(used_install="drop")
        if way == "code":
            assert (await codes.redeem(platform.context, tablet.caller, code, None)).linked
        elif way == "registration":
            body = wire.Register(TABLET, wire.SdkVersion("test", "1"), authentication_code=code)
            assert (await register.register(platform.context, None, body, None)).state == "standby"
        else:
            await platform.set_policy(linking="off")
            with pytest.raises(UserlinkingNotConfigured):
                await codes.mint(platform.context, let_in, "anna", None)
        await assert_tables_are_the_fold(platform, [first, tablet])

    tell(tmp_path, story)


def test_a_policy_is_said_after_everything_that_was_decided_before_it_and_before_all_that_comes(tmp_path):
    async def story(platform: InProcess) -> None:
        older, newer = await platform.register(), await platform.register()
        await platform.link(newer, "anna")
        assert (await platform.link(older, "anna")).state == "standby"
        await platform.set_policy(precedence="last_linked")
        await platform.register()
        assert await facts(platform) == [
            ("registered", 0),
            ("registered", 0),
            ("linked", 1),
            ("linked", 2),
            ("policy changed", 3),
            ("registered", 3),
        ]
        tablet = await platform.register(TABLET)
        link = await platform.link(tablet, "anna")
        await platform.undo(link.link_id)
        assert await states(platform, older, newer) == ["standby", "active"]
        await assert_tables_are_the_fold(platform, [older, newer, tablet])

    tell(tmp_path, story)


def test_a_fact_from_a_clock_that_was_far_ahead_does_not_carry_the_policies_of_the_app_along(tmp_path):
    async def story(platform: InProcess) -> None:
        await platform.register()
        await platform.context.store.write(
            lambda tx: tx.run("UPDATE facts SET at = at + 601000 WHERE kind = 'registered'")
        )
        await platform.set_policy(takeover="standby")
        assert await facts(platform) == [("registered", 601_000), ("policy changed", 0)]

    tell(tmp_path, story)


def test_an_external_id_that_was_released_means_whoever_is_linked_to_it_next(tmp_path):
    async def story(platform: InProcess) -> None:
        anna, ben = await platform.register(), await platform.register()
        await platform.link(anna, "mail")
        for name in ("one", "two", "three"):
            await give_name(platform, anna, name, release_old=name == "three")
        linked = await platform.link(ben, "mail")
        assert linked.id == ben.own_user_id
        await assert_tables_are_the_fold(platform, [anna, ben])

    tell(tmp_path, story)


def test_a_person_takes_the_name_that_another_one_released_in_the_same_instant(tmp_path):
    async def story(platform: InProcess) -> None:
        anna, ben = await platform.register(), await platform.register()
        await platform.link(anna, "mail")
        await platform.link(ben, "ben")
        await give_name(platform, anna, "one", release_old=False)
        await give_name(platform, anna, "two", release_old=True)
        await give_name(platform, ben, "one", release_old=False)
        await give_name(platform, ben, "mail", release_old=False)
        await assert_tables_are_the_fold(platform, [anna, ben])

    tell(tmp_path, story)


def test_a_takeover_comes_after_every_fact_about_the_installs_that_it_looks_at(tmp_path):
    async def story(platform: InProcess) -> None:
        await platform.set_policy(takeover="standby")
        phone, tablet = await platform.register(), await platform.register(TABLET)
        await platform.link(phone, "anna")
        await platform.link(tablet, "anna")
        for wanted in ("disabled", "enabled", "disabled"):
            await operate.set_install_state(platform.context, platform.key, tablet.install_id, wanted, Order())
        await tokens.reset(platform.context, CredentialCaller(phone.credential))
        await assert_tables_are_the_fold(platform, [phone, tablet])

    tell(tmp_path, story)


def test_activating_under_a_disabled_user_is_a_conflict_and_adds_no_fact(tmp_path):
    async def story(platform: InProcess) -> None:
        phone = await platform.register()
        linked = await platform.link(phone, "anna")
        await operate.set_user_state(platform.context, platform.key, linked.id, "disabled", Order())
        said = await facts(platform)
        for _ in range(3):
            with pytest.raises(Conflict):
                await operate.activate(platform.context, platform.key, phone.install_id, Order())
        assert await facts(platform) == said

    tell(tmp_path, story)


def test_a_fact_keeps_the_id_that_the_call_named_so_an_undo_leaves_it_with_whom_that_id_means_then(tmp_path):
    async def story(platform: InProcess) -> None:
        first, second = await platform.register(), await platform.register()
        await platform.link(first, "anna")
        link = await platform.link(second, "anna")
        for wanted in ("disabled", "enabled"):
            await operate.set_user_state(platform.context, platform.key, second.own_user_id, wanted, Order())
            assert await states(platform, first) == ["disabled" if wanted == "disabled" else "superseded"]
        await platform.undo(link.link_id)
        assert await lives(platform, first) == ["active"]
        assert await lives(platform, second) == ["active", "disabled", "active"]
        await assert_tables_are_the_fold(platform, [first, second])

    tell(tmp_path, story)


async def lives(platform: InProcess, phone: Phone) -> list[str]:
    """How a phone stood since its registration."""
    install_id = InstallId(bytes.fromhex(phone.install_id))
    spans = await platform.context.store.read(lambda tx: identity.read_spans(tx, install_id))
    return [span.state.value for span in spans]


def test_an_undo_writes_all_spans_of_those_it_reaches_even_where_the_tables_were_wrong(tmp_path):
    """Written by halves, an install was told one thing, and its items were judged by another."""

    async def story(platform: InProcess) -> None:
        first, second, third = [await platform.register() for _ in range(3)]
        for phone in (first, second):
            await platform.link(phone, "anna")
        link_id = (await platform.link(third, "anna")).link_id
        installs = [bytes.fromhex(first.install_id), bytes.fromhex(second.install_id)]
        for install_id in installs:
            await platform.context.store.write(
                lambda tx, one=install_id: tx.run(
                    "UPDATE spans SET outcome = 'disabled', state = 'disabled' WHERE install_id = $1 AND to_ms > 0", one
                )
            )
        assert (await looked_at(platform, InstallId(installs[0]))).differs
        await platform.undo(link_id)
        await assert_tables_are_the_fold(platform, [first, second, third])

    tell(tmp_path, story)

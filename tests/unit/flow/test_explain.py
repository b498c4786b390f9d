"""Why an install stands as it does: the sentence is true, under any policy and after any disabling."""

from __future__ import annotations

import pytest

from unbroken import wire
from unbroken.domain.standing import REASONS, Standing
from unbroken.flow import erase_part, explain, operate, profile, tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.flow.operate import Order

SECOND = 1000
ORDER = Order()


def later(platform):
    """A second later than all that was before; the instant."""
    platform.clock.advance_to(platform.clock.now_ms() + SECOND)
    return platform.clock.now_ms()


async def why(platform, phone, at=None):
    return await explain.explain(platform.context, platform.key, phone.install_id, at)


async def registered(platform, **device):
    """A phone, unless the device is something else."""
    later(platform)
    return await platform.register(wire.Device("android", **device))


async def linked(platform, phone, external_id="anna"):
    later(platform)
    return await platform.link(phone, external_id)


def test_where_the_last_linked_wins_the_older_phone_is_active_because_it_was_linked_last(story):
    async def tell(platform):
        await platform.set_policy(precedence="last_linked")
        older, newer = await registered(platform), await registered(platform)
        await linked(platform, newer)
        await linked(platform, older)
        for phone, how in ((older, "is the active one"), (newer, "was superseded")):
            told = await why(platform, phone)
            assert told.sentence == f"This phone {how}: of two phones the one that was linked last is active."
        told = await why(platform, older)
        assert told.inputs["other"]["registered_at"] > told.inputs["registered_at"]
        assert told.inputs["other"]["linked_at"] < told.inputs["linked_at"]

    story(tell)


def test_the_policy_that_counts_is_the_one_in_force_when_it_was_decided(story):
    async def tell(platform):
        await platform.set_policy(precedence="last_linked")
        older, newer = await registered(platform), await registered(platform)
        await linked(platform, newer)
        await linked(platform, older)
        later(platform)
        await platform.set_policy(precedence="last_installed")
        assert "linked last" in (await why(platform, newer)).sentence
        newest = await registered(platform)
        await linked(platform, newest)
        assert "installed last" in (await why(platform, older)).sentence
        before = platform.clock.now_ms() - SECOND
        assert "linked last" in (await why(platform, older, before)).sentence

    story(tell)


def test_a_phone_goes_before_a_tablet_whichever_was_linked_last(story):
    async def tell(platform):
        await platform.set_policy(precedence="last_linked")
        phone, tablet = await registered(platform), await registered(platform, screen_inches=10.9)
        await linked(platform, phone)
        await linked(platform, tablet)
        told = await why(platform, tablet)
        assert "whichever is newer" in told.sentence
        assert told.inputs["form_because"] == "Android of 10.9 inches is a tablet: from 7.0 inches on it is one."
        assert "form_because" not in (await why(platform, phone)).inputs
        before = later(platform)
        later(platform)
        await erase_part.erase_install(platform.context, platform.key, tablet.install_id, dry_run=False)
        told = await why(platform, tablet, before)
        assert "whichever is newer" in told.sentence
        assert "form_because" not in told.inputs, "what it reported is gone"

    story(tell)


async def set_install(platform, phone, wanted):
    later(platform)
    await operate.set_install_state(platform.context, platform.key, phone.install_id, wanted, ORDER)
    return platform.clock.now_ms()


async def set_user(platform, phone, wanted):
    later(platform)
    await operate.set_user_state(platform.context, platform.key, phone.own_user_id, wanted, ORDER)
    return platform.clock.now_ms()


BY_USER, BY_OPERATOR = (
    "This phone is disabled because its user is disabled.",
    "This phone was disabled by the operator.",
)


def test_a_user_that_was_disabled_then_is_told_though_it_was_enabled_since(story):
    async def tell(platform):
        phone = await registered(platform)
        await linked(platform, phone)
        disabled_at = await set_user(platform, phone, "disabled")
        assert (await why(platform, phone)).sentence == BY_USER
        await set_user(platform, phone, "enabled")
        told = await why(platform, phone, disabled_at)
        assert (told.state, told.sentence, told.inputs["decided_by"]) == ("disabled", BY_USER, "user disabled")

    story(tell)


def test_of_two_disablings_the_one_that_is_left_is_told_whichever_came_first(story):
    async def tell(platform):
        first, second = await registered(platform), await registered(platform)
        await linked(platform, first, "anna")
        await linked(platform, second, "ben")
        await set_install(platform, first, "disabled")
        both_at = await set_user(platform, first, "disabled")
        await set_install(platform, first, "enabled")
        assert (await why(platform, first, both_at)).sentence == BY_OPERATOR
        assert (await why(platform, first)).sentence == BY_USER
        await set_user(platform, second, "disabled")
        both_at = await set_install(platform, second, "disabled")
        await set_user(platform, second, "enabled")
        told = await why(platform, second)
        assert (told.sentence, told.inputs["decided_by"]) == (BY_OPERATOR, "disabled")
        assert (await why(platform, second, both_at)).sentence == BY_OPERATOR

    story(tell)


def test_a_disabled_state_is_told_by_the_reason_that_the_state_itself_gives(story):
    async def tell(platform):
        phone = await registered(platform)
        await linked(platform, phone)
        for change, wanted in [
            (set_install, "disabled"), (set_user, "disabled"), (set_install, "enabled"), (set_install, "disabled"),
            (set_user, "enabled"),
        ]:  # fmt: skip
            await change(platform, phone, wanted)
            (view,) = (await profile.installs(platform.context, platform.key, phone.own_user_id, 10, None)).installs
            is_by_user = view.state_reason == REASONS[Standing.USER_DISABLED]
            assert (await why(platform, phone)).sentence == (BY_USER if is_by_user else BY_OPERATOR)

    story(tell)


def test_a_link_that_was_restored_later_is_told_as_if_it_had_been_there_when_its_user_was_disabled(story):
    async def tell(platform):
        first, second = await registered(platform), await registered(platform)
        await linked(platform, first)
        link = await linked(platform, second)
        later(platform)
        undone = await platform.undo(link.link_id)
        disabled_at = await set_user(platform, first, "disabled")
        await set_user(platform, first, "enabled")
        assert (await why(platform, second, disabled_at)).state == "active"
        later(platform)
        await platform.undo(undone.undo_id)
        told = await why(platform, second, disabled_at)
        assert (told.state, told.sentence) == ("disabled", BY_USER)

    story(tell)


async def activated(platform, phone):
    later(platform)
    await operate.activate(platform.context, platform.key, phone.install_id, ORDER)


async def two_phones(platform):
    """Of anna; the newer is active."""
    phones = [await registered(platform) for _ in range(2)]
    for phone in phones:
        await linked(platform, phone)
    return phones


@pytest.mark.parametrize("switch", [set_user, set_install])
@pytest.mark.parametrize("on_purpose", [False, True])
def test_who_is_disabled_and_enabled_is_what_it_was_for_the_reason_it_was(story, switch, on_purpose):
    async def tell(platform):
        older, newer = await two_phones(platform)
        if on_purpose:
            await activated(platform, older)
        for phone in (older, newer) if switch is set_install else (older,):
            before = [await why(platform, one) for one in (older, newer)]
            for _ in range(2):
                await switch(platform, phone, "disabled")
                since = await switch(platform, phone, "enabled")
            after = [await why(platform, one) for one in (older, newer)]
            assert [one.sentence for one in after] == [one.sentence for one in before]
            assert [one.counterfactuals for one in after] == [one.counterfactuals for one in before]
            assert [one.inputs | {"since": 0} for one in after] == [one.inputs | {"since": 0} for one in before]
            assert since in {one.inputs["since"] for one in after}
        reason = "on purpose" if on_purpose else "the one that was installed last"
        assert all(reason in one.sentence for one in after)

    story(tell)


def test_an_install_that_finds_another_in_its_place_when_it_is_enabled_stands_by_the_rule(story):
    async def tell(platform):
        older, newer = await two_phones(platform)
        await activated(platform, older)
        await set_install(platform, older, "disabled")
        await activated(platform, newer)
        await set_install(platform, older, "enabled")
        told = await why(platform, older)
        assert (told.state, told.inputs["decided_by"]) == ("superseded", "enabled")
        assert told.sentence.endswith("the newer is active, the one that was installed last.")

    story(tell)


async def phone_before_tablet(platform):
    await platform.set_policy(takeover="standby")
    phone, tablet = await registered(platform), await registered(platform, screen_inches=10.9)
    await linked(platform, phone)
    await linked(platform, tablet)
    return phone, tablet


def test_a_tablet_on_standby_that_is_enabled_when_none_is_active_is_told_to_have_taken_over(story):
    async def tell(platform):
        phone, tablet = await phone_before_tablet(platform)
        await set_install(platform, tablet, "disabled")
        await set_install(platform, phone, "disabled")
        await set_install(platform, tablet, "enabled")
        told = await why(platform, tablet)
        assert told.rule == "activation: takeover = standby"
        assert told.sentence.endswith("it was on standby, and when it was enabled no other was active.")
        await set_install(platform, tablet, "disabled")
        await set_install(platform, tablet, "enabled")
        assert (await why(platform, tablet)).sentence == told.sentence

    story(tell)


def test_what_was_decided_while_the_user_was_disabled_is_told_when_it_is_enabled(story):
    async def tell(platform):
        phone, tablet = await phone_before_tablet(platform)
        await set_user(platform, phone, "disabled")
        await set_install(platform, phone, "disabled")
        await set_user(platform, phone, "enabled")
        told = await why(platform, tablet)
        assert (told.state, told.inputs["decided_by"]) == ("active", "disabled")
        assert told.sentence.endswith("it took over when the one before it went away.")
        await set_user(platform, phone, "disabled")
        await set_install(platform, phone, "enabled")
        await set_user(platform, phone, "enabled")
        told = await why(platform, tablet)
        assert (told.state, told.inputs["other"]["install_id"]) == ("superseded", phone.install_id)
        assert told.sentence.endswith("the phone is active, whichever is newer.")

    story(tell)


@pytest.mark.parametrize("used_install", ["refuse", "claim"])
def test_before_it_joined_somebody_a_phone_is_told_as_it_was_then(story, used_install):
    async def tell(platform):
        await platform.set_policy(used_install=used_install)
        first, second = await registered(platform), await registered(platform)
        await linked(platform, first)
        disabled_at = await set_install(platform, second, "disabled")
        enabled_at = await set_install(platform, second, "enabled")
        await linked(platform, second)
        told = await why(platform, second, disabled_at)
        assert (told.state, told.linked, told.sentence) == ("disabled", False, BY_OPERATOR)
        assert told.inputs["since"] == disabled_at
        for at in (disabled_at - 1, enabled_at):
            told = await why(platform, second, at)
            assert (told.state, told.linked, told.rule) == ("active", False, "registering: not linked")
            assert told.inputs["linked_at"] is None

    story(tell)


def test_after_an_undo_nothing_is_said_of_a_time_before_it_that_rests_on_what_was_undone(story):
    async def tell(platform):
        older, newer = await registered(platform), await registered(platform)
        await linked(platform, older)
        link = await linked(platform, newer)
        at = later(platform)
        named = [one.sentence for one in (await why(platform, newer, at)).counterfactuals]
        assert "Had it been a tablet, it would be standby." in named
        later(platform)
        await platform.undo(link.link_id)
        undone_at = platform.clock.now_ms()
        told = await why(platform, newer, at)
        assert told.sentence == "This phone is not linked: its link was undone, and it is active on a user of its own."
        assert told.inputs["unlinked_at"] == undone_at
        assert told.counterfactuals == []

    story(tell)


def test_who_was_erased_is_not_told_to_have_been_reset(story):
    async def tell(platform):
        erased, reset = await registered(platform), await registered(platform)
        await linked(platform, erased)
        later(platform)
        await erase_part.erase_install(platform.context, platform.key, erased.install_id, dry_run=False)
        await tokens.reset(platform.context, CredentialCaller(reset.credential))
        assert "was erased" in (await why(platform, erased)).sentence
        assert "was reset" in (await why(platform, reset)).sentence

    story(tell)

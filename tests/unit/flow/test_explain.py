"""Why an install stands as it does: the sentence is true, under any policy and after any disabling."""

from __future__ import annotations

from unbroken import wire
from unbroken.flow import explain

SECOND = 1000


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
        assert "whichever is newer" in (await why(platform, tablet)).sentence

    story(tell)

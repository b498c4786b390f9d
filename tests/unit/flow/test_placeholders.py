"""What is no external id, as each app decides (linking.md, row 1)."""

from __future__ import annotations

import asyncio

import pytest

from unbroken import wire
from unbroken.domain.errors import InvalidExternalId, InvalidRequest
from unbroken.flow import codes, profile
from unbroken.flow.operate import Order
from unbroken.flow.rename import rename
from unbroken.testing.in_process import InProcess


def in_platform(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            return await story(platform)

    return asyncio.run(whole())


async def linked(platform, external_id: str) -> str:
    return (await platform.link(await platform.register(), external_id)).id


def test_an_app_names_its_own_placeholders_in_place_of_the_usual_ones(tmp_path):
    async def story(platform):
        with pytest.raises(InvalidExternalId):
            await linked(platform, "guest")
        await platform.set_policy(placeholders="Nobody,nobody, test user ,")
        assert platform.app.policy.placeholders == "nobody,test user"
        user_id = await linked(platform, "guest")
        for refused in ("NOBODY", "Test User", "0", "00-00"):
            with pytest.raises(InvalidExternalId):
                await linked(platform, refused)
            with pytest.raises(InvalidExternalId):
                await codes.mint(platform.context, platform.key, refused, None)
            with pytest.raises(InvalidExternalId):
                await rename(platform.context, platform.key, user_id, wire.Rename(refused), Order(dry_run=True))

    in_platform(tmp_path, story)


def test_who_carries_an_id_that_became_a_placeholder_is_still_found_by_it(tmp_path):
    async def story(platform):
        user_id = await linked(platform, "tester")
        await platform.set_policy(placeholders="tester")
        found = await profile.profile_by_external_id(platform.context, platform.key, "tester")
        return user_id, found.id

    user_id, found_id = in_platform(tmp_path, story)
    assert user_id == found_id


@pytest.mark.parametrize("value", ["a\nb", "x" * 2_001])
def test_placeholders_are_printable_and_not_without_end(tmp_path, value):
    async def story(platform):
        with pytest.raises(InvalidRequest, match="placeholders"):
            await platform.set_policy(placeholders=value)

    in_platform(tmp_path, story)

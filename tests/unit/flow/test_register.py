"""A registration is repeated by its key as long as its install lives."""

from __future__ import annotations

import asyncio

import pytest

from unbroken import wire
from unbroken.domain.errors import AppDisabled, AuthCodeUnknown
from unbroken.flow import administer, codes
from unbroken.flow.register import register
from unbroken.flow.tidy import tidy
from unbroken.testing.in_process import START_MS, InProcess

KEY = "019ab3f0-6f00-7000-8000-0123456789ab"
OTHER_KEY = "019ab3f0-6f00-7000-8000-0123456789ac"
DAY_MS = 86_400_000


def in_platform(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            minted = await codes.mint(platform.context, platform.key, "carl", None)
            body = wire.Register(
                wire.Device("ios"), wire.SdkVersion("a", "1"), authentication_code=minted.authentication_code
            )
            return await story(platform, body)

    return asyncio.run(whole())


def test_also_when_the_code_that_stands_in_it_is_long_forgotten(tmp_path):
    async def story(platform, body):
        first = await register(platform.context, None, body, KEY)
        platform.clock.advance_to(START_MS + 8 * DAY_MS)
        await tidy(platform.context)
        with pytest.raises(AuthCodeUnknown):
            await register(platform.context, None, body, OTHER_KEY)
        return first, await register(platform.context, None, body, KEY)

    first, again = in_platform(tmp_path, story)
    assert again.install_id == first.install_id
    assert again.install_credential != first.install_credential


def test_but_not_for_a_disabled_app(tmp_path):
    async def story(platform, body):
        await register(platform.context, None, body, KEY)
        await administer.set_app_disabled(platform.context, platform.app.app_id, disabled=True)
        with pytest.raises(AppDisabled):
            await register(platform.context, None, body, KEY)

    in_platform(tmp_path, story)

"""Another pepper takes the place of the one that secrets are kept under: what was given out goes on being valid."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.model.api import random_uuid

from unbroken import wire
from unbroken.credentials import AUTH_CODE_LIFE_MS, Peppers, body_hash
from unbroken.domain.errors import AuthCodeUsed, IdempotencyKeyReused, InstallCloned, InstallGone, Unauthenticated
from unbroken.flow import administer, authenticate, codes, erase, keys, link, register, tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.flow.repeat import Repeatable
from unbroken.flow.verify import Wanted, verify
from unbroken.store import earlier_peppers
from unbroken.testing.in_process import START_MS, InProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


FIRST, SECOND = b"p" * 32, b"q" * 32
BEFORE = Peppers(1, {1: FIRST})
COMING = Peppers(1, {1: FIRST, 2: SECOND})
CHANGED = Peppers(2, {1: FIRST, 2: SECOND})
AFTER = Peppers(2, {2: SECOND})
BODY = wire.Register(wire.Device("android"), wire.SdkVersion("test", "1"))


class Given:
    """What a platform gave out, and whether it knows all of it yet."""

    def __init__(self, platform: InProcess) -> None:
        self.platform = platform
        self.now = BEFORE
        self.context = platform.context = replace(
            platform.context, vault=replace(platform.context.vault, peppers=lambda: self.now)
        )

    async def give_out(self) -> None:
        context = self.context
        made = await administer.create_app(context, "a")
        self.app_id, self.app_secret = made.app_id, made.app_secret
        self.api_key = (await keys.create_key(context, made.app_id, "all", ["user.link"])).api_key
        self.app = await authenticate.app_by_secret(context, made.app_id.hex(), made.app_secret)
        key = await authenticate.by_bearer(context, self.api_key)
        assert isinstance(key, authenticate.KeyCaller)
        self.key, self.registration = key, random_uuid("a device")
        self.registered = await register.register(context, self.app, BODY, self.registration)
        self.code = (await codes.mint(context, key, "anna", None)).authentication_code
        self.same = Repeatable(key.key_id, "a call", body_hash(b"{}"))
        other = await register.register(context, self.app, BODY, None)
        self.call = (key, other.install_id, wire.Link("ben"))
        self.answer = await link.link(context, *self.call, dry_run=False, same=self.same)
        renewing = await register.register(context, self.app, BODY, None)
        self.spent = CredentialCaller(renewing.install_credential)
        await tokens.renew(context, self.spent, "a renewal")

    async def all_of_it_is_known(self) -> None:
        context = self.context
        context.standings.admitted.clear()
        assert await authenticate.app_by_secret(context, self.app_id.hex(), self.app_secret)
        assert await authenticate.by_bearer(context, self.api_key)
        again = await register.register(context, self.app, BODY, self.registration)
        assert again.install_id == self.registered.install_id
        assert await link.link(context, *self.call, dry_run=False, same=self.same) == self.answer
        with pytest.raises(IdempotencyKeyReused):
            await link.link(context, *self.call, dry_run=False, same=replace(self.same, body_hash=body_hash(b"")))
        assert (await tokens.renew(context, self.spent, "a renewal")).user_token
        with pytest.raises(InstallCloned):
            await tokens.renew(context, self.spent, "another renewal")

    async def left(self) -> dict[str, int]:
        wall_ms, now_ms = self.context.wall.now_ms(), self.context.clock.now_ms()
        return await self.context.store.read_long(
            lambda tx: earlier_peppers.left(tx, 2, wall_ms=wall_ms, now_ms=now_ms)
        )


def with_secrets(directory: Path, story: Callable[[Given], Awaitable[None]]) -> None:
    async def lived() -> None:
        async with InProcess(directory) as platform:
            given = Given(platform)
            await given.give_out()
            await story(given)

    asyncio.run(lived())


def test_what_was_given_out_is_known_before_while_and_after_another_pepper_is_used(tmp_path):
    async def story(given: Given) -> None:
        for given.now in (BEFORE, COMING, CHANGED, CHANGED):
            await given.all_of_it_is_known()
        assert (await verify(given.context, Wanted(), is_repairing=False, share=1)).findings == []

    with_secrets(tmp_path, story)


def test_a_code_that_was_minted_before_is_redeemed_once(tmp_path):
    async def story(given: Given) -> None:
        given.now = CHANGED
        body = replace_code(given.code)
        assert await register.register(given.context, None, body, random_uuid("one"))
        with pytest.raises(AuthCodeUsed):
            await register.register(given.context, None, body, random_uuid("two"))

    def replace_code(code: str) -> wire.Register:
        return wire.Register(BODY.device, BODY.sdk, authentication_code=code)

    with_secrets(tmp_path, story)


def test_a_secret_moves_when_it_is_shown_and_then_needs_the_first_pepper_no_more(tmp_path):
    async def story(given: Given) -> None:
        context = given.context
        given.now = CHANGED
        before = await given.left()
        assert before["app secrets"] == 2
        assert before["API keys"] == 2
        context.standings.admitted.clear()
        await authenticate.app_by_secret(context, given.app_id.hex(), given.app_secret)
        await authenticate.by_bearer(context, given.api_key)
        renewed = await tokens.renew(context, CredentialCaller(given.registered.install_credential), None)
        assert await given.left() == {
            "app secrets": 1, "API keys": 1, "install credentials": before["install credentials"] - 1, "codes": 1,
        }  # fmt: skip
        given.now = AFTER
        context.standings.admitted.clear()
        await authenticate.app_by_secret(context, given.app_id.hex(), given.app_secret)
        await authenticate.by_bearer(context, given.api_key)
        assert (await tokens.renew(context, CredentialCaller(renewed.install_credential), None)).user_token

    with_secrets(tmp_path, story)


def test_a_code_that_has_expired_needs_no_pepper(tmp_path):
    async def story(given: Given) -> None:
        given.now = CHANGED
        given.platform.clock.advance_to(START_MS + AUTH_CODE_LIFE_MS - 1)
        assert (await given.left())["codes"] == 1
        given.platform.clock.advance_to(START_MS + AUTH_CODE_LIFE_MS)
        assert (await given.left())["codes"] == 0

    with_secrets(tmp_path, story)


def test_what_was_not_shown_is_unknown_when_the_first_pepper_is_gone(tmp_path):
    async def story(given: Given) -> None:
        given.now = AFTER
        given.context.standings.admitted.clear()
        with pytest.raises(Unauthenticated):
            await authenticate.app_by_secret(given.context, given.app_id.hex(), given.app_secret)
        with pytest.raises(Unauthenticated):
            await authenticate.by_bearer(given.context, given.api_key)
        with pytest.raises(Unauthenticated):
            await tokens.renew(given.context, CredentialCaller(given.registered.install_credential), None)

    with_secrets(tmp_path, story)


def test_who_plants_a_row_under_a_pepper_that_was_let_go_of_opens_nothing(tmp_path):
    async def story(given: Given) -> None:
        planted = given.context.vault.digest(given.api_key)
        given.now = AFTER
        given.context.standings.admitted.clear()
        await given.context.store.write(lambda tx: tx.run("UPDATE api_keys SET digest = $1", planted))
        with pytest.raises(Unauthenticated):
            await authenticate.by_bearer(given.context, given.api_key)

    with_secrets(tmp_path, story)


def test_an_erased_persons_credential_is_known_to_be_gone_under_any_pepper(tmp_path):
    async def story(given: Given) -> None:
        platform: Any = given.platform
        phone = await platform.register()
        given.now = CHANGED
        later = await platform.register()
        for one in (phone, later):
            await erase.erase(given.context, platform.key, one.own_user_id, dry_run=False)
            with pytest.raises(InstallGone):
                await tokens.renew(given.context, CredentialCaller(one.credential), None)
        given.now = BEFORE
        with pytest.raises(InstallGone):
            await tokens.renew(given.context, CredentialCaller(phone.credential), None)

    with_secrets(tmp_path, story)

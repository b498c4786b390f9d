"""The life of API keys, and what becomes of secrets that are told to lie around."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from unbroken import wire
from unbroken.clock import ManualClock
from unbroken.credentials import SECRET_BYTES, Kind, write_opaque
from unbroken.domain.app import Scope
from unbroken.domain.errors import (
    AppDisabled,
    AuthCodeUnknown,
    Conflict,
    InstallCloned,
    InvalidRequest,
    NotFound,
    Unauthenticated,
)
from unbroken.domain.ids import KeyId
from unbroken.flow import administer, audit_log, codes, erase, keys, leaks, link, operate, register, tokens
from unbroken.flow.authenticate import CredentialCaller, by_bearer, still_admitted
from unbroken.flow.rotate import keys_ending, rotate_key
from unbroken.flow.standings import Standings
from unbroken.flow.tidy import tidy
from unbroken.testing.in_process import START_MS, InProcess

DAY_MS = 86_400_000
REGISTER = wire.Register(wire.Device("android"), wire.SdkVersion("test", "1"))


def in_platform(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            platform.wall = ManualClock(START_MS)
            platform.context = replace(platform.context, wall=platform.wall)
            app = await administer.create_app(platform.context, "another")
            platform.other = app.app_id
            return await story(platform)

    return asyncio.run(whole())


async def new_key(platform, days=365, scopes=(Scope.USER_READ,)):
    return await keys.create_key(platform.context, platform.other, "its", list(scopes), days)


# Rotation


def test_after_a_rotation_both_keys_are_in_force_until_the_overlap_ends(tmp_path):
    async def story(platform):
        old = await new_key(platform, scopes=(Scope.USER_READ, Scope.USER_LINK))
        new = await rotate_key(platform.context, old.key_id)
        callers = [await by_bearer(platform.context, key.api_key) for key in (old, new)]
        assert callers[0].scopes == callers[1].scopes
        assert [caller.rotated_at for caller in callers] == [START_MS, None]
        platform.wall.advance_to(START_MS + 7 * DAY_MS - 1)
        await by_bearer(platform.context, old.api_key)
        platform.wall.advance_to(START_MS + 7 * DAY_MS)
        with pytest.raises(Unauthenticated, match="expired"):
            await by_bearer(platform.context, old.api_key)
        await by_bearer(platform.context, new.api_key)

    in_platform(tmp_path, story)


def test_an_overlap_never_lengthens_a_life_and_none_ends_it_at_once(tmp_path):
    async def story(platform):
        short, gone = await new_key(platform, days=3), await new_key(platform)
        await rotate_key(platform.context, short.key_id, overlap_days=30)
        platform.wall.advance_to(START_MS + 1)
        under_way = await by_bearer(platform.context, gone.api_key)
        await rotate_key(platform.context, gone.key_id, overlap_days=0)
        with pytest.raises(Unauthenticated):
            await by_bearer(platform.context, gone.api_key)
        with pytest.raises(Unauthenticated):
            await platform.context.store.write(lambda tx: still_admitted(tx, under_way))
        ends = {key.key_id: key.expires_at for key in await keys.list_keys(platform.context, platform.other)}
        assert ends[short.key_id] == START_MS + 3 * DAY_MS

    in_platform(tmp_path, story)


def test_a_key_is_rotated_once_while_it_is_in_force_and_there_is_always_room_for_the_successor(tmp_path):
    async def story(platform):
        context = platform.context
        old, ended = await new_key(platform), await new_key(platform)
        await keys.revoke_key(context, ended.key_id)
        await rotate_key(context, old.key_id)
        for key_id, match in ((old.key_id, "successor"), (ended.key_id, "ended")):
            with pytest.raises(Conflict, match=match):
                await rotate_key(context, key_id)
        with pytest.raises(NotFound):
            await rotate_key(context, KeyId(b"x" * 12))
        for wrong in ({"overlap_days": 31}, {"overlap_days": -1}, {"expires_days": 366}, {"expires_days": 0}):
            with pytest.raises(InvalidRequest):
                await rotate_key(context, old.key_id, **wrong)
        tenth = [await new_key(platform) for _ in range(9)][-1]
        for _ in range(2):
            with pytest.raises(Conflict, match="10 keys"):
                await new_key(platform)
            tenth = await rotate_key(context, tenth.key_id)

    in_platform(tmp_path, story)


def test_twenty_keys_in_force_are_the_end_but_for_a_rotation_without_overlap(tmp_path):
    async def story(platform):
        context, newest = platform.context, await new_key(platform)
        platform.wall.advance_to(START_MS + 1)
        for _ in range(19):
            newest = await rotate_key(context, newest.key_id)
        for another in (new_key(platform), rotate_key(context, newest.key_id)):
            with pytest.raises(Conflict, match="20 keys"):
                await another
        platform.wall.advance_to(START_MS + 2)
        newest = await rotate_key(context, newest.key_id, overlap_days=0)
        platform.wall.advance_to(START_MS + 1 + 7 * DAY_MS)
        await rotate_key(context, newest.key_id)

    in_platform(tmp_path, story)


def test_what_ends_soon_is_told_unless_it_has_a_successor(tmp_path):
    async def story(platform):
        for days in (1, 7, 14, 15):
            await new_key(platform, days)
        await rotate_key(platform.context, (await new_key(platform, 2)).key_id)
        revoked = await new_key(platform, 3)
        await keys.revoke_key(platform.context, revoked.key_id)
        found = await keys_ending(platform.context, 14 * DAY_MS)
        return [(key.expires_at - START_MS) // DAY_MS for key in found]

    assert in_platform(tmp_path, story) == [1, 7, 14]


# Revocation


def test_a_key_that_was_revoked_after_its_call_was_let_in_changes_nothing(tmp_path):
    async def story(platform):
        context, caller = platform.context, platform.key
        phone, other = await platform.register(), await platform.register()
        linked = await platform.link(other, "bert")
        await keys.revoke_key(context, caller.key_id)
        order = operate.Order()
        calls = [
            link.link(context, caller, phone.install_id, wire.Link("anna"), dry_run=False, same=None),
            codes.mint(context, caller, "anna", None),
            operate.set_install_state(context, caller, phone.install_id, "disabled", order),
            operate.set_user_state(context, caller, linked.id, "disabled", order),
            operate.activate(context, caller, phone.install_id, order),
            erase.erase(context, caller, linked.id, dry_run=False),
            platform.undo(linked.link_id),
        ]
        before = (await audit_log.head(context)).entries
        told = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in told] == [Unauthenticated] * len(calls)
        assert (await audit_log.head(context)).entries == before

    in_platform(tmp_path, story)


def test_an_app_that_was_stopped_after_a_call_was_let_in_registers_and_links_nobody(tmp_path):
    async def story(platform):
        phone = await platform.register()
        await administer.set_app_disabled(platform.context, platform.app.app_id, disabled=True)
        with pytest.raises(AppDisabled):
            await register.register(platform.context, platform.app_caller, REGISTER, None)
        with pytest.raises(AppDisabled):
            await platform.link(phone, "anna")

    in_platform(tmp_path, story)


def test_a_process_that_slept_for_days_learns_that_an_app_goes_on(tmp_path):
    async def story(platform):
        context, app_id = platform.context, platform.app.app_id
        idle = replace(context, standings=Standings())
        await administer.set_app_disabled(context, app_id, disabled=True)
        await idle.standings.load(idle)
        assert idle.standings.is_stopped(app_id)
        await administer.set_app_disabled(context, app_id, disabled=False)
        for _ in range(3):  # others change, and what they change is tidied away
            platform.clock.advance_to(platform.clock.now_ms() + 4 * DAY_MS)
            await tidy(context)
        await asyncio.sleep(0)
        await idle.standings.refresh(idle)
        assert not idle.standings.is_stopped(app_id)

    in_platform(tmp_path, story)


# Leaks


def test_secrets_that_lie_around_are_of_no_use_from_then_on(tmp_path):
    async def story(platform):
        context = platform.context
        key, phone = await new_key(platform), await platform.register()
        code = (await codes.mint(context, platform.key, "anna", None)).authentication_code
        told = await leaks.report(context, [key.api_key, code, phone.credential, key.api_key])
        assert [(one.kind, one.is_void) for one in told] == [
            (Kind.API_KEY, True), (Kind.AUTH_CODE, True), (Kind.INSTALL, True),
        ]  # fmt: skip
        with pytest.raises(Unauthenticated, match="revoked"):
            await by_bearer(context, key.api_key)
        with pytest.raises(AuthCodeUnknown):
            await codes.redeem(context, phone.caller, code, None)
        with pytest.raises(InstallCloned):
            await tokens.renew(context, CredentialCaller(phone.credential), "a key")
        entries = await audit_log.newest(context, lambda one: one["actor"] == "finder", 10)
        assert sorted(one["what"] for one in entries) == ["credential leaked", "credential leaked", "key revoked"]
        assert await leaks.report(context, [key.api_key, code, phone.credential]) == []

    in_platform(tmp_path, story)


def test_what_cannot_be_taken_back_is_told_to_the_operator_and_writes_nothing(tmp_path):
    async def story(platform):
        context = platform.context
        app = await administer.create_app(context, "third")
        made = await register.register(context, platform.app_caller, REGISTER, None)
        before = (await audit_log.head(context)).entries
        told = await leaks.report(context, [app.app_secret, made.user_token.token])
        assert {(one.kind, one.subject, one.is_void) for one in told} == {
            (Kind.APP_SECRET, app.app_id.hex(), False), (Kind.USER_TOKEN, made.install_id, False),
        }  # fmt: skip
        assert (await audit_log.head(context)).entries == before

    in_platform(tmp_path, story)


def test_whoever_tells_of_an_app_secret_again_and_again_takes_no_lock_and_is_heard_once_an_hour(tmp_path, monkeypatch):
    async def story(platform):
        context, written = platform.context, []
        app = await administer.create_app(context, "third")
        made = await register.register(context, platform.app_caller, REGISTER, None)
        write = context.store.write
        monkeypatch.setattr(context.store, "write", lambda step: written.append(step) or write(step))
        lasting = [app.app_secret, made.user_token.token]
        assert [len(await leaks.report(context, lasting)) for _ in range(5)] == [2, 0, 0, 0, 0]
        platform.wall.advance_to(START_MS + 3_600_000)
        assert len(await leaks.report(context, lasting)) == 2
        assert written == []

    in_platform(tmp_path, story)


def test_what_is_not_ours_is_passed_over(tmp_path):
    async def story(platform):
        context, chance = platform.context, platform.context.randomness
        key = await new_key(platform)
        strangers = [write_opaque(kind, key.key_id, chance.secret(SECRET_BYTES)) for kind in Kind]
        before = (await audit_log.head(context)).entries
        assert await leaks.report(context, [*strangers, "", "unb_key_", key.api_key[:-1], "ghp_x", "\x00é"]) == []
        assert (await audit_log.head(context)).entries == before
        await by_bearer(context, key.api_key)

    in_platform(tmp_path, story)

"""Consent: what a host answers, and what a warrant is worth."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from unbroken import consent
from unbroken.clock import ManualClock, SystemClock
from unbroken.consent import Stamp
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.domain.errors import InvalidRequest, NotFound, Unauthenticated
from unbroken.flow import authenticate
from unbroken.flow import consent as step
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.store.sqlite import SqliteStore
from unbroken.testing.in_process import KEY_RING

VAULT = Vault(b"p" * 32, b"s" * 32)
CHALLENGE = "0f" * 32
STAMP = Stamp(b"a" * 12, b"b" * 12, 1_000)


@asynccontextmanager
async def opened(tmp_path):
    store = await SqliteStore.open(tmp_path / "test.db", keys=KEY_RING)
    clock = SystemClock()
    try:
        yield Context(store, EmbeddedLog(store), clock, clock, SystemRandomness(), VAULT, Standings(), lab=False)
    finally:
        await store.close()


def in_a_platform(tmp_path, do):
    async def whole():
        async with opened(tmp_path) as context:
            return await do(context, await step.give(context, 1))

    return asyncio.run(whole())


def test_a_stamp_is_read_as_it_was_written_and_believed_by_its_platform_only():
    text = consent.write_stamp(VAULT, STAMP)
    found = consent.read_stamp(text)
    assert found is not None
    assert found[0] == STAMP
    assert consent.is_ours(VAULT, *found)
    assert not consent.is_ours(Vault(b"p" * 32, b"t" * 32), *found)
    assert not consent.is_ours(VAULT, STAMP._replace(until_ms=2_000), found[1])


@pytest.mark.parametrize("text", ["", ".", "x" * 130, f"{STAMP.content}.{'0' * 63}", f"{STAMP.content}.{'0' * 64}\n"])
def test_what_is_no_stamp_is_none(text):
    assert consent.read_stamp(text) is None


def test_the_platform_answers_with_the_proof(tmp_path):
    async def do(context, warrant):
        return warrant, await step.answer(context, warrant.stamp, CHALLENGE)

    warrant, proof = in_a_platform(tmp_path, do)
    assert proof == consent.proof(warrant.key, CHALLENGE)
    assert proof != consent.proof(warrant.key, "00" * 32)


def test_a_stamp_that_is_over_changed_or_of_another_platform_is_not_found(tmp_path):
    async def do(context, warrant):
        later = replace(context, wall=ManualClock(context.wall.now_ms() + 3_600_001))
        other = replace(context, vault=Vault(b"p" * 32, b"t" * 32))
        for asked, stamp in (
            (later, warrant.stamp),
            (other, warrant.stamp),
            (context, warrant.stamp[:-1] + "x"),
            (context, ""),
        ):
            with pytest.raises(NotFound):
                await step.answer(asked, stamp, CHALLENGE)

    in_a_platform(tmp_path, do)


def test_a_warrant_that_was_taken_back_is_not_found(tmp_path):
    async def do(context, warrant):
        await step.take_back(context, warrant)
        with pytest.raises(NotFound):
            await step.answer(context, warrant.stamp, CHALLENGE)

    in_a_platform(tmp_path, do)


@pytest.mark.parametrize("challenge", ["", "0" * 63, "0" * 65, "G" * 64, "0F" * 32, "0" * 63 + "\n"])
def test_a_challenge_has_one_form(tmp_path, challenge):
    async def do(context, warrant):
        with pytest.raises(InvalidRequest):
            await step.answer(context, warrant.stamp, challenge)

    in_a_platform(tmp_path, do)


def test_a_warrant_holds_good_keys_and_spent_ones(tmp_path):
    async def do(context, warrant):
        for given in (warrant.a, warrant.b):
            for scope in Scope:
                caller = await authenticate.by_bearer(context, given.keys[scope])
                assert caller.scopes == {scope}
            assert (await authenticate.by_bearer(context, given.keys["all"])).scopes == set(Scope)
            for ended, word in {"revoked": "revoked", "expired": "expired"}.items():
                with pytest.raises(Unauthenticated, match=word):
                    await authenticate.by_bearer(context, given.keys[ended])
            with pytest.raises(Unauthenticated, match="expired"):
                await authenticate.by_bearer(context, given.expired["user token"])

    in_a_platform(tmp_path, do)


@pytest.mark.parametrize("hours", [0, -1, 169])
def test_a_warrant_holds_a_week_at_most(tmp_path, hours):
    async def whole():
        async with opened(tmp_path) as context:
            with pytest.raises(InvalidRequest):
                await step.give(context, hours)

    asyncio.run(whole())


def test_a_warrant_comes_back_from_its_file_and_shows_no_secret(tmp_path):
    async def do(_, warrant):
        return warrant

    warrant = in_a_platform(tmp_path, do)
    assert consent.read_warrant(msgspec.json.encode(warrant)) == warrant
    assert "unb_" not in repr(warrant)
    assert "unb_" not in repr(warrant.a)
    for content in (b"", b"{}", b"\xff", b'{"stamp":1}'):
        assert consent.read_warrant(content) is None

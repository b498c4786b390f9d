"""What is remembered of a credential, and that nothing is which does not hold any more, wherever it was changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from unbroken.clock import ManualClock
from unbroken.credentials import SECRET_BYTES, Kind, read_opaque, write_opaque
from unbroken.domain.app import Scope, UsedInstall
from unbroken.domain.errors import AppDisabled, Unauthenticated
from unbroken.flow import administer, keys, policies, standings
from unbroken.flow.authenticate import KeyCaller, app_by_secret, by_bearer
from unbroken.flow.standings import Standings
from unbroken.testing.in_process import START_MS, InProcess

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class CountingStore:
    """A store that counts look-ups and writes, and can keep the answer of a look-up until it is let go."""

    def __init__(self, store):
        self._store = store
        self.reads = self.look_ups = self.writes = 0
        self.has_answer, self.let_go = asyncio.Event(), asyncio.Event()
        self.let_go.set()

    async def read(self, call):
        self.reads += 1
        answer = await self._store.read(call)
        if not isinstance(call, standings._Changes):
            self.look_ups += 1
            self.has_answer.set()
            await self.let_go.wait()
        return answer

    async def write(self, call):
        self.writes += 1
        return await self._store.write(call)


class World:
    """Two processes on one database, and an app with its secret and a key."""

    def __init__(self, platform, app, key):
        self.wall = ManualClock(START_MS)
        self.store = CountingStore(platform.context.store)
        self.here = replace(platform.context, wall=self.wall, store=self.store, standings=Standings())
        self.other = replace(platform.context, wall=self.wall, standings=Standings())
        self.app, self.key = app, key

    async def by_key(self):
        return await by_bearer(self.here, self.key.api_key)

    async def by_secret(self):
        return await app_by_secret(self.here, self.app.app_id.hex(), self.app.app_secret)

    async def last_used_at(self):
        (key,) = await keys.list_keys(self.other, self.app.app_id)
        return key.last_used_at


def in_world(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            context = replace(platform.context, wall=ManualClock(START_MS))
            app = await administer.create_app(context, "another")
            key = await keys.create_key(context, app.app_id, "its", [Scope.USER_READ], 1)
            await story(World(platform, app, key))

    asyncio.run(whole())


def test_who_was_admitted_a_moment_ago_is_not_looked_up_again(tmp_path):
    async def story(world):
        first = await world.by_key(), await world.by_secret()
        world.store.look_ups = world.store.writes = 0
        assert (await world.by_key(), await world.by_secret()) == first
        assert (world.store.look_ups, world.store.writes) == (0, 0)

    in_world(tmp_path, story)


@pytest.mark.parametrize("where", ["here", "other"])
def test_a_revoked_key_is_refused_at_once_wherever_it_was_revoked(tmp_path, where):
    async def story(world):
        await world.by_key()
        await keys.revoke_key(getattr(world, where), world.key.key_id)
        with pytest.raises(Unauthenticated, match="revoked"):
            await world.by_key()

    in_world(tmp_path, story)


@pytest.mark.parametrize("where", ["here", "other"])
def test_a_disabled_app_is_refused_at_once_and_admitted_again_once_it_goes_on(tmp_path, where):
    async def story(world):
        await world.by_key()
        await world.by_secret()
        for is_disabled in (True, False, True):
            await administer.set_app_disabled(getattr(world, where), world.app.app_id, is_disabled)
            for ask in (world.by_key, world.by_secret):
                if is_disabled:
                    with pytest.raises(AppDisabled):
                        await ask()
                else:
                    await ask()

    in_world(tmp_path, story)


def test_a_change_is_known_however_far_a_labs_clock_was_moved_since(tmp_path):
    async def story(world):
        await world.by_key()
        await keys.revoke_key(world.other, world.key.key_id)
        world.other.clock.advance_to(START_MS + 30 * DAY_MS)
        with pytest.raises(Unauthenticated, match="revoked"):
            await world.by_key()

    in_world(tmp_path, story)


def test_a_key_that_is_remembered_ends_at_its_end(tmp_path):
    async def story(world):
        world.wall.advance_to(world.key.expires_at_ms - 1)
        await world.by_key()
        world.wall.advance_to(world.key.expires_at_ms)
        with pytest.raises(Unauthenticated, match="expired"):
            await world.by_key()

    in_world(tmp_path, story)


def test_what_was_read_before_a_revocation_and_comes_in_after_it_is_not_remembered(tmp_path):
    async def story(world):
        world.store.let_go.clear()
        slow = asyncio.create_task(world.by_key())
        await world.store.has_answer.wait()
        await keys.revoke_key(world.other, world.key.key_id)
        await world.here.standings.refresh(world.here)
        world.store.let_go.set()
        await slow  # it came before the revocation
        with pytest.raises(Unauthenticated, match="revoked"):
            await world.by_key()

    in_world(tmp_path, story)


def test_a_remembered_key_knows_the_policy_of_now(tmp_path):
    async def story(world):
        await world.by_key()
        await policies.set_policy(world.other, world.app.app_id, {"used_install": "claim"})
        caller = await world.by_key()
        assert isinstance(caller, KeyCaller)
        assert caller.app.policy.used_install is UsedInstall.CLAIM

    in_world(tmp_path, story)


def test_the_secret_of_one_app_is_not_that_of_another_while_it_is_remembered(tmp_path):
    async def story(world):
        await world.by_secret()
        other = await administer.create_app(world.other, "third")
        with pytest.raises(Unauthenticated):
            await app_by_secret(world.here, other.app_id.hex(), world.app.app_secret)

    in_world(tmp_path, story)


def test_the_last_use_of_a_key_is_noted_once_a_minute(tmp_path):
    async def story(world):
        for after_ms, noted_ms in ((0, 0), (59_999, 0), (60_000, 60_000), (100_000, 60_000), (120_000, 120_000)):
            world.wall.advance_to(START_MS + after_ms)
            await world.by_key()
            assert await world.last_used_at() == START_MS + noted_ms

    in_world(tmp_path, story)


def test_the_last_use_is_noted_when_its_minute_is_over_also_where_another_process_began_it(tmp_path):
    async def story(world):
        await by_bearer(world.other, world.key.api_key)
        world.wall.advance_to(START_MS + MINUTE_MS - 1)
        await world.by_key()
        world.wall.advance_to(START_MS + MINUTE_MS)
        await world.by_key()
        assert await world.last_used_at() == START_MS + MINUTE_MS

    in_world(tmp_path, story)


def test_a_clock_that_was_set_back_remembers_nobody(tmp_path):
    async def story(world):
        await world.by_key()
        world.store.look_ups = 0
        world.here = replace(world.here, wall=ManualClock(START_MS - 60 * MINUTE_MS))
        await world.by_key()
        assert world.store.look_ups == 1

    in_world(tmp_path, story)


# Wrong ones


def mistyped(text):
    """Every text that differs in one character, in a place that a checksum alone can tell."""
    return [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text) - 50, len(text))]


@pytest.mark.parametrize("kind", [Kind.API_KEY, Kind.INSTALL, Kind.APP_SECRET, Kind.USER_TOKEN])
def test_a_mistyped_credential_asks_the_database_nothing(tmp_path, kind):
    async def story(world):
        chance = world.here.randomness.secret(SECRET_BYTES)
        right = {
            Kind.API_KEY: world.key.api_key,
            Kind.APP_SECRET: world.app.app_secret,
            Kind.INSTALL: write_opaque(Kind.INSTALL, b"i" * 12, chance),
            Kind.USER_TOKEN: "unb_user_" + "A" * 64,
        }[kind]
        for text in mistyped(right):
            is_secret = kind is Kind.APP_SECRET
            asking = (
                app_by_secret(world.here, world.app.app_id.hex(), text) if is_secret else by_bearer(world.here, text)
            )
            with pytest.raises(Unauthenticated):
                await asking
        assert (world.store.reads, world.store.writes) == (0, 0)

    in_world(tmp_path, story)


class Asking:
    """A transaction that remembers what it was asked."""

    def __init__(self, tx, asked):
        self._tx, self._asked = tx, asked

    def __getattr__(self, name):
        return getattr(self._tx, name)

    async def one(self, statement, *values):
        self._asked.append(statement)
        return await self._tx.one(statement, *values)


class Remembering:
    """A store that remembers what it was asked, but for what changed of everybody."""

    def __init__(self, store, asked):
        self._store, self._asked = store, asked

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def read(self, call):
        if isinstance(call, standings._Changes):
            return await self._store.read(call)
        return await self._store.read(lambda tx: call(Asking(tx, self._asked)))


def test_a_wrong_secret_is_refused_by_the_same_work_whether_its_id_is_anybodys(tmp_path):
    async def story(world):
        asked, plain = [], world.store._store
        world.store._store = Remembering(plain, asked)
        chance = world.here.randomness.secret(SECRET_BYTES)
        key_id = read_opaque(world.key.api_key).subject
        told = []
        for subject in (key_id, b"u" * 12):
            asked.clear()
            with pytest.raises(Unauthenticated) as refused:
                await by_bearer(world.here, write_opaque(Kind.API_KEY, subject, chance))
            told.append((str(refused.value), list(asked)))
        for subject in (world.app.app_id, b"u" * 12):
            asked.clear()
            secret = write_opaque(Kind.APP_SECRET, subject, chance)
            with pytest.raises(Unauthenticated) as refused:
                await app_by_secret(world.here, subject.hex(), secret)
            told.append((str(refused.value), list(asked)))
        assert told[0] == told[1]
        assert told[2] == told[3]
        assert [len(statements) for _, statements in told] == [1] * 4

    in_world(tmp_path, story)

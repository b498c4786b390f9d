"""External ids come under another key while everybody works on; what an earlier version wrote comes under the first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.busy import HOUR, live, timelines
from tests.unit.flow.earlier import SEALED, as_version_7_left_it

from unbroken import wire
from unbroken.domain.errors import Refusal
from unbroken.domain.ids import UserId
from unbroken.flow import authenticate, codes, profile, register, rename, tokens
from unbroken.flow.operate import Order
from unbroken.flow.process import Worker
from unbroken.flow.purge import purge
from unbroken.flow.verify import Wanted, laws, verify
from unbroken.flow.verify.finding import Rule
from unbroken.sealing import KEY_BYTES, KeyRing
from unbroken.store import resealing, sealed
from unbroken.store.contract import StoreUnavailable
from unbroken.testing import in_process
from unbroken.testing.in_process import KEY_RING, InProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

BOTH = KeyRing({1: b"e" * KEY_BYTES, 2: b"n" * KEY_BYTES})
THREE = KeyRing({number: key * KEY_BYTES for number, key in ((1, b"e"), (2, b"n"), (3, b"t"))})
NEW = KeyRing({2: b"n" * KEY_BYTES})


def on_a_platform(directory: Path, story: Callable[[InProcess], Awaitable[None]]) -> None:
    async def lived() -> None:
        async with InProcess(directory) as platform:
            await story(platform)

    asyncio.run(lived())


async def rows(store: Any) -> dict[str, list[Any]]:
    names = (await store.catalogue()).keys() - {"sqlite_sequence", "schema_migrations", "sealing"}
    return {
        name: sorted(await store.read_long(lambda tx, name=name: tx.all(f"SELECT * FROM {name}")), key=repr)
        for name in sorted(names)
    }


async def under(store: Any, number: int) -> set[str]:
    """The tables in which something is sealed under a key."""
    found = set()
    for table, column in [(name, "sealed_id") for name in SEALED] + [
        ("installs", "credential_key"), ("spent_credentials", "spent_key"), ("idempotency", "reply"),
    ]:  # fmt: skip
        said = await store.read_long(lambda tx, t=table, c=column: tx.all(f"SELECT {c} FROM {t}"))
        texts = [value if isinstance(value, bytes) else value.encode() for (value,) in said if value is not None]
        found |= {f"{table}.{column}" for text in texts if text.startswith(f"s{number}.".encode())}
    return found


EVERYWHERE = {
    *(f"{name}.sealed_id" for name in SEALED), "installs.credential_key", "spent_credentials.spent_key",
    "idempotency.reply",
}  # fmt: skip


async def nothing_wrong(platform: InProcess) -> None:
    assert (await verify(platform.context, Wanted(), is_repairing=False, share=1)).findings == []


async def begun(store: Any, keys: KeyRing = BOTH) -> None:
    store._keys = keys
    assert await store.write(lambda tx: resealing.begin(tx, 2))


async def go_on_with(platform: InProcess, opened: Any, directory: Path) -> None:
    platform.context = replace(platform.context, store=opened, log=await in_process.open_log(opened, directory))
    platform.worker = Worker(platform.context)


# What an earlier version wrote


def test_what_an_earlier_version_wrote_is_sealed_when_the_database_is_opened(tmp_path):
    async def story(platform: InProcess) -> None:
        busy = await live(platform)
        await codes.mint(platform.context, platform.key, "ben@new", None)
        store = platform.context.store
        told = await timelines(platform, busy)
        before = await rows(store)
        await as_version_7_left_it(store, KEY_RING)
        await store.close()
        opened = await in_process.open_store(tmp_path)
        await go_on_with(platform, opened, tmp_path)
        assert await rows(opened) == before
        assert await timelines(platform, busy) == told
        await nothing_wrong(platform)
        assert await opened.read(resealing.is_purged)
        for path in tmp_path.rglob("*"):
            assert b"ben@new" not in path.read_bytes()

    on_a_platform(tmp_path, story)


def test_an_upgrade_goes_on_from_every_transaction_in_which_it_was_broken_off(tmp_path, monkeypatch):
    monkeypatch.setattr(resealing, "BATCH", 2)

    async def story(platform: InProcess) -> None:
        await live(platform)
        store = platform.context.store
        before = await rows(store)
        await as_version_7_left_it(store, KEY_RING)
        await store.close()
        broken = 0
        while True:
            with monkeypatch.context() as patched:
                patched.setattr(type(store), "write", dying(type(store).write, after=broken))
                try:
                    opened = await in_process.open_store(tmp_path)
                except ProcessLookupError:
                    broken += 1
                    continue
            break
        await go_on_with(platform, opened, tmp_path)
        assert broken > 12
        assert await rows(opened) == before

    def dying(write: Any, after: int) -> Any:
        left = after

        async def mortal(self: Any, call: Any) -> Any:
            nonlocal left
            if left == 0:
                raise ProcessLookupError
            left -= 1
            return await write(self, call)

        return mortal

    on_a_platform(tmp_path, story)


def test_an_external_id_that_looks_like_a_sealed_one_is_sealed_like_any_other(tmp_path):
    names = ["s1.", "s1.AAAA", "s2.x", "\U0010ffff" * 3, "s", "t", "A", KEY_RING.seal(1, b"a" * 12, "anna")]

    async def story(platform: InProcess) -> None:
        for name in names:
            await platform.link(await platform.register(), name)
        store = platform.context.store
        before = await rows(store)
        await as_version_7_left_it(store, KEY_RING)
        await store.close()
        opened = await in_process.open_store(tmp_path)
        await go_on_with(platform, opened, tmp_path)
        assert await rows(opened) == before
        await begun(opened)
        await resealing.go_on(opened)
        for name in names:
            assert (await profile.profile_by_external_id(platform.context, platform.key, name)).external_id == name

    on_a_platform(tmp_path, story)


def test_a_statement_of_an_earlier_version_finds_no_column_to_write_to(tmp_path):
    async def story(platform: InProcess) -> None:
        with pytest.raises(Exception, match="external_id"):
            await platform.context.store.write(
                lambda tx: tx.run(
                    "INSERT INTO carriers (app_id, external_id, user_id) VALUES ($1, $2, $3)", b"a", "anna", b"u"
                )
            )

    on_a_platform(tmp_path, story)


# Another key


def test_everything_comes_under_the_new_key_and_the_old_one_is_not_needed_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(resealing, "BATCH", 3)

    async def story(platform: InProcess) -> None:
        busy = await live(platform)
        await codes.mint(platform.context, platform.key, "ben@new", None)
        store = platform.context.store
        assert await under(store, 1) == EVERYWHERE
        told = await timelines(platform, busy)
        await begun(store)
        assert await resealing.go_on(store) > 20
        assert (await under(store, 1), await under(store, 2)) == (set(), EVERYWHERE)
        stale = KEY_RING.seal(1, platform.app.app_id, "ben@new").encode()
        assert not await store.read(resealing.is_purged)
        assert await purge(platform.context, rewrite_up_to_bytes=None)
        assert await store.read(resealing.is_purged)
        assert not any(stale in path.read_bytes() for path in tmp_path.rglob("*"))
        store._keys = NEW
        await nothing_wrong(platform)
        assert await timelines(platform, busy) == told

    on_a_platform(tmp_path, story)


def test_between_any_two_batches_everybody_is_found_and_nobody_twice(tmp_path, monkeypatch):
    """All of it again after each batch: old ids, new ones, a rename, a code, and what verify says."""
    monkeypatch.setattr(resealing, "BATCH", 2)

    async def story(platform: InProcess) -> None:
        names = [f"person {number}" for number in range(6)]
        users = {name: (await platform.link(await platform.register(), name)).id for name in names}
        store = platform.context.store
        await begun(store)
        count = 0

        async def rest() -> None:
            nonlocal count
            count += 1
            if count > 40:  # what is added must not outrun what is gone through, two rows at a time
                return
            platform.clock.advance_to(platform.clock.now_ms() + 6 * HOUR)
            fresh = f"fresh {count}"
            users[fresh] = (await platform.link(await platform.register(), fresh)).id
            for name, user_id in users.items():
                assert (await profile.profile_by_external_id(platform.context, platform.key, name)).id == user_id
            name = names[count % len(names)]
            assert (await platform.link(await platform.register(), name)).id == users[name]
            minted = await codes.mint(platform.context, platform.key, name, None)
            body = wire.Register(
                wire.Device("android"), wire.SdkVersion("test", "1"), authentication_code=minted.authentication_code
            )
            assert (await register.register(platform.context, None, body, None)).user_id == users[name]
            if count % 3 == 0:
                users[f"renamed {count}"] = users[fresh]
                renamed = wire.Rename(f"renamed {count}", release_old=True)
                await rename.rename(platform.context, platform.key, users[fresh], renamed, Order())
                del users[fresh]
                with pytest.raises(Refusal):
                    await profile.profile_by_external_id(platform.context, platform.key, fresh)
            await nothing_wrong(platform)

        await resealing.go_on(store, rest)
        assert count > 40
        count = 0
        await rest()
        store._keys = NEW
        await rest()

    on_a_platform(tmp_path, story)


def test_a_renewal_that_was_begun_under_the_old_key_is_repeated_under_the_new_one(tmp_path):
    async def story(platform: InProcess) -> None:
        phone = await platform.register()
        spent = await authenticate.by_bearer(platform.context, phone.credential)
        assert isinstance(spent, authenticate.CredentialCaller)
        await tokens.renew(platform.context, spent, "a renewal")
        await begun(platform.context.store)
        assert (await tokens.renew(platform.context, spent, "a renewal")).user_token
        await resealing.go_on(platform.context.store)
        platform.context.store._keys = NEW
        assert (await tokens.renew(platform.context, spent, "a renewal")).user_token

    on_a_platform(tmp_path, story)


def test_a_damaged_row_stops_no_rotation_and_is_found_afterwards(tmp_path):
    async def story(platform: InProcess) -> None:
        for name in ("anna", "ben", "carl"):
            await platform.link(await platform.register(), name)
        store = platform.context.store
        text = KEY_RING.seal(1, platform.app.app_id, "ben")
        await store.write(lambda tx: tx.run("UPDATE carriers SET sealed_id = 's1.x' WHERE sealed_id = $1", text))
        await begun(store)
        await resealing.go_on(store)
        for name in ("anna", "carl"):
            assert await profile.profile_by_external_id(platform.context, platform.key, name)
        assert (await verify(platform.context, Wanted(), is_repairing=True, share=1)).findings == []
        assert await profile.profile_by_external_id(platform.context, platform.key, "ben")

    on_a_platform(tmp_path, story)


def test_two_that_rotate_at_once_do_the_work_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(resealing, "BATCH", 2)

    async def story(platform: InProcess) -> None:
        for number in range(9):
            await platform.link(await platform.register(), f"person {number}")
        store = platform.context.store
        await begun(store)
        assert not await store.write(lambda tx: resealing.begin(tx, 2))
        await asyncio.gather(resealing.go_on(store), resealing.go_on(store))
        assert (await store.read(sealed.read)).old_key_no is None
        assert await under(store, 1) == set()

    on_a_platform(tmp_path, story)


def test_links_of_a_day_are_counted_and_two_carriers_noticed_on_every_step_of_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(resealing, "BATCH", 2)

    async def story(platform: InProcess) -> None:
        await platform.set_policy(link_burst="2")
        users = [(await platform.link(await platform.register(), "anna")).id for _ in range(2)]
        store, steps = platform.context.store, []

        async def rest() -> None:
            steps.append((await store.read(sealed.read)).done_app)
            with pytest.raises(Refusal) as refused:
                await platform.link(await platform.register(), "anna")
            assert refused.value.code == "LINK_BURST"

            async def misled(tx: Any) -> list[Any]:
                await tx.run("UPDATE carriers SET user_id = $1", b"x" * 12)
                found = await laws.of_user(tx, UserId(bytes.fromhex(users[0])))
                await tx.run("UPDATE carriers SET user_id = $1", bytes.fromhex(users[0]))
                return found

            assert [found.rule for found in await store.write(misled)] == [Rule.LAW_1]

        await begun(store)
        await resealing.go_on(store, rest)
        assert len(steps) > 7

    on_a_platform(tmp_path, story)


def test_one_that_paused_ends_no_rotation_but_its_own_and_nothing_is_left_behind(tmp_path, monkeypatch):
    """One is at its last table when another ends the rotation, and a third is in the middle of the next one."""
    monkeypatch.setattr(resealing, "BATCH", 2)

    async def story(platform: InProcess) -> None:
        for number in range(5):
            await platform.link(await platform.register(), f"person {number}")
        store = platform.context.store
        await begun(store, THREE)
        paused, goes_on, is_searched_done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def pause_at_the_last() -> None:
            if await has_swept(store, 2):
                paused.set()
                await goes_on.wait()

        async def wait_for_the_first() -> None:
            if (await store.read(sealed.read)).done_app > b"\xfe":
                goes_on.set()
                is_searched_done.set()
                await first

        first = asyncio.ensure_future(resealing.go_on(store, pause_at_the_last))
        await paused.wait()
        await resealing.go_on(store)
        assert await store.write(lambda tx: resealing.begin(tx, 3))
        third = asyncio.ensure_future(resealing.go_on(store, wait_for_the_first))
        await third
        assert is_searched_done.is_set()
        assert (await under(store, 1), await under(store, 2)) == (set(), set())
        assert await store.read_long(resealing.not_needed) == 3

    async def has_swept(store: Any, number: int) -> bool:
        rows = await store.read(lambda tx: tx.all("SELECT sealed_id FROM installs WHERE sealed_id IS NOT NULL"))
        return all(text.startswith(f"s{number}.") for (text,) in rows)

    on_a_platform(tmp_path, story)


def test_earlier_keys_are_needed_while_anything_opens_with_one_and_not_for_what_no_key_opens(tmp_path):
    async def story(platform: InProcess) -> None:
        await platform.link(await platform.register(), "anna")
        store = platform.context.store
        await begun(store)
        assert await store.read_long(resealing.not_needed) is None
        await resealing.go_on(store)
        assert await store.read_long(resealing.not_needed) == 2
        for text, told in (("s1.x", 2), (KEY_RING.seal(1, platform.app.app_id, "anna"), None)):
            await store.write(lambda tx, text=text: tx.run("UPDATE users SET sealed_id = $1", text))
            assert await store.read_long(resealing.not_needed) == told

    on_a_platform(tmp_path, story)


def test_a_process_without_the_new_key_says_which_one_and_what_to_do(tmp_path):
    async def story(platform: InProcess) -> None:
        await platform.link(await platform.register(), "anna")
        store = platform.context.store
        await begun(store)
        await resealing.go_on(store)
        store._keys = KEY_RING
        with pytest.raises(StoreUnavailable, match=r"key 2.*Copy keys\.json"):
            await profile.profile_by_external_id(platform.context, platform.key, "anna")
        with pytest.raises(StoreUnavailable, match=r"key 2.*Copy keys\.json"):
            await store.use_keys(KEY_RING)
        store._keys = KeyRing({1: b"e" * KEY_BYTES, 2: b"x" * KEY_BYTES})
        with pytest.raises(StoreUnavailable, match="another key 2"):
            await profile.profile_by_external_id(platform.context, platform.key, "anna")

    on_a_platform(tmp_path, story)

"""An upload that cannot be processed is set aside where it can be seen, and those behind it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unbroken.domain.errors import NotFound
from unbroken.flow import dead_letters, erase, take
from unbroken.flow.process import Worker
from unbroken.log.contract import Record
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess, Phone

if TYPE_CHECKING:
    from unbroken.store.dead_letters import DeadLetter

pytestmark = pytest.mark.anyio

FIX = {"kind": "location", "t": T, "lat": 1.0, "lon": 2.0, "acc": 10}
DAMAGED = b"no zstd at all"


async def damage(platform: InProcess, phone: Phone) -> bytes:
    """Something in the log that is no upload, as a damaged disk leaves it."""
    install_id = bytes.fromhex(phone.install_id)
    await platform.context.log.append(Record(install_id, T, DAMAGED), first_of_install=False)
    return install_id


async def letters(platform: InProcess) -> list[DeadLetter]:
    return [letter async for letter in dead_letters.letters(platform.context)]


async def test_those_behind_a_damaged_record_are_processed(platform):
    told: list[DeadLetter] = []
    platform.worker = Worker(platform.context, tell_dead=told.append)
    phone = await platform.register()
    install_id = await damage(platform, phone)
    await platform.upload(phone, [FIX])

    assert len(await platform.items(phone.own_user_id)) == 1
    (letter,) = await letters(platform)
    assert (letter.install_id, letter.received_at, letter.body) == (install_id, T, DAMAGED)
    assert letter.trouble == "ZstdError"
    assert told == [letter]
    assert platform.worker.dead == 1


async def test_one_that_breaks_the_transaction_takes_no_other_with_it(platform, monkeypatch):
    poisoned, well = await platform.register(), await platform.register()
    keep = take.keep_uploads

    async def fail_for_one(tx, uploads):
        if any(record.install_id.hex() == poisoned.install_id for record, _ in uploads):
            raise ZeroDivisionError
        await keep(tx, uploads)

    with monkeypatch.context() as patched:
        patched.setattr(take, "keep_uploads", fail_for_one)
        await platform.upload(well, [FIX])
        await platform.upload(poisoned, [FIX])
        await platform.upload(well, [FIX | {"t": T + 1}])
        await platform.settle()

    assert len(await platform.items(well.own_user_id)) == 2
    assert [letter.trouble for letter in await letters(platform)] == ["ZeroDivisionError"]
    assert await platform.items(poisoned.own_user_id) == []

    replayed = await dead_letters.replay(platform.context)

    assert (replayed.kept, replayed.failed) == (1, 0)
    assert len(await platform.items(poisoned.own_user_id)) == 1
    assert await letters(platform) == []


async def test_a_store_that_is_away_makes_no_dead_letter(platform, monkeypatch):
    phone = await platform.register()
    await platform.upload(phone, [FIX])

    async def away(tx, uploads):
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(take, "keep_uploads", away)
        with pytest.raises(StoreUnavailable):
            await platform.settle()

    assert await letters(platform) == []
    assert len(await platform.items(phone.own_user_id)) == 1


async def test_one_that_fails_again_stays_until_it_is_given_up(platform):
    phone = await platform.register()
    install_id = await damage(platform, phone)
    await platform.settle()
    before = await letters(platform)

    replayed = await dead_letters.replay(platform.context)

    assert (replayed.kept, replayed.failed) == (0, 1)
    assert await letters(platform) == before
    await dead_letters.drop(platform.context, install_id, before[0].position)
    assert await letters(platform) == []
    with pytest.raises(NotFound):
        await dead_letters.drop(platform.context, install_id, before[0].position)


async def test_an_erasure_takes_the_dead_letters_too(platform):
    phone = await platform.register()
    await damage(platform, phone)
    await platform.settle()

    receipt = await erase.erase(platform.context, platform.key, phone.own_user_id, dry_run=False)

    assert receipt.deleted["dead letters"] == 1
    assert await letters(platform) == []

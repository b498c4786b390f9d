"""An upload that cannot be processed is set aside where it can be seen, and those behind it go on."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from unbroken.domain.errors import NotFound
from unbroken.flow import dead_letters, erase, erase_part, take
from unbroken.flow.process import Worker
from unbroken.flow.retention import retain
from unbroken.flow.verify import Wanted as Everybody
from unbroken.flow.verify import verify
from unbroken.log.contract import Record
from unbroken.store import dead_letters as tables
from unbroken.store.contract import StoreUnavailable
from unbroken.store.dead_letters import DeadLetter
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess, Phone

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction
    from unbroken.store.dead_letters import Listed

pytestmark = pytest.mark.anyio

DAY = 86_400_000
FIX = {"kind": "location", "t": T, "lat": 1.0, "lon": 2.0, "acc": 10}
DAMAGED = b"no zstd at all"


async def damage(platform: InProcess, phone: Phone) -> bytes:
    """Something in the log that is no upload, as a damaged disk leaves it."""
    install_id = bytes.fromhex(phone.install_id)
    await platform.context.log.append(Record(install_id, T, DAMAGED), first_of_install=False)
    return install_id


async def letters(platform: InProcess) -> list[Listed]:
    return [letter async for letter in dead_letters.letters(platform.context)]


async def test_those_behind_a_damaged_record_are_processed(platform):
    told: list[DeadLetter] = []
    platform.worker = Worker(platform.context, tell_dead=told.append)
    phone = await platform.register()
    install_id = await damage(platform, phone)
    await platform.upload(phone, [FIX])

    assert len(await platform.items(phone.own_user_id)) == 1
    (listed,) = await letters(platform)
    assert (listed.install_id, listed.received_at, listed.size_bytes) == (install_id, T, len(DAMAGED))
    letter = await dead_letters.one(platform.context, install_id, listed.position)
    assert letter.body == DAMAGED
    assert letter.trouble == "ZstdError"
    assert told == [letter]
    assert platform.worker.dead == 1


async def test_a_list_of_many_reads_none_of_their_bodies(platform):
    install_id = bytes.fromhex((await platform.register()).install_id)
    body = b"x" * (1 << 20)

    async def add(tx: Transaction) -> None:
        for position in range(20):
            await tables.add(tx, DeadLetter(install_id, position, T, body, "ZstdError", T))

    await platform.context.store.write(add)
    tracemalloc.start()
    try:
        listed = await letters(platform)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [one.size_bytes for one in listed] == [len(body)] * 20
    assert most_bytes < 2 * len(body)


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


async def test_retention_waits_for_the_dead_letters_of_a_person_as_they_may_still_find_their_place(
    platform, monkeypatch
):
    phone, other = await platform.register(), await platform.register()
    keep = take.keep_uploads

    async def fail_once(tx, uploads):
        if uploads:
            raise ZeroDivisionError
        await keep(tx, uploads)

    for one in (phone, other):
        await platform.upload(one, [FIX])
    await platform.settle()
    platform.clock.advance_to(T + DAY)
    with monkeypatch.context() as patched:
        patched.setattr(take, "keep_uploads", fail_once)
        await platform.upload(phone, [FIX | {"t": T + DAY}])
        await platform.settle()

    platform.clock.advance_to(T + 200 * DAY)
    (told,) = await retain(platform.context, share=1)
    assert (told.payloads, told.waiting) == (1, 1)

    assert (await dead_letters.replay(platform.context)).kept == 1
    events = json.loads(await platform.timeline(phone.own_user_id))
    assert [event["start_ts"] for event in events] == [T]
    assert (await verify(platform.context, Everybody(), share=1)).findings == []
    (told,) = await retain(platform.context, share=1)
    assert (told.payloads, told.waiting) == (2, 0)
    assert json.loads(await platform.timeline(phone.own_user_id)) == events


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


async def test_an_erasure_of_a_stretch_of_time_is_not_stopped_by_what_nobody_can_read(platform):
    phone = await platform.register()
    await platform.upload(phone, [FIX, FIX | {"t": T + DAY}])
    await damage(platform, phone)

    receipt = await erase_part.erase_items(platform.context, platform.key, phone.own_user_id, T, T + 1, dry_run=False)

    assert receipt.deleted["items"] == 1
    assert [letter.trouble for letter in await letters(platform)] == ["ZstdError"]
    assert len(await platform.items(phone.own_user_id)) == 1


async def test_an_erasure_takes_the_dead_letters_too(platform):
    phone = await platform.register()
    await damage(platform, phone)
    await platform.settle()

    receipt = await erase.erase(platform.context, platform.key, phone.own_user_id, dry_run=False)

    assert receipt.deleted["dead letters"] == 1
    assert await letters(platform) == []

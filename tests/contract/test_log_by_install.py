"""What a log tells of one install, and the positions it gives away to uploads that come by another way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from unbroken.log.contract import LeaseLost, PayloadLog, Record

if TYPE_CHECKING:
    from unbroken.store.contract import Store, Transaction

pytestmark = pytest.mark.anyio
NOW = 1_790_000_000_000
MINE = b"install-one!"
FAR = 1 << 62


def neighbour(log: PayloadLog) -> bytes:
    """Another install of the same partition."""
    return next(
        other for n in range(10_000) if log.partition_of(other := b"install-%04d" % n) == log.partition_of(MINE)
    )


async def append(log: PayloadLog, install_id: bytes, *bodies: bytes) -> None:
    for body in bodies:
        await log.append(Record(install_id, NOW, body), first_of_install=False)


async def waiting(log: PayloadLog, store: Store, after: int, until: int, limit: int) -> list[tuple[int, bytes]]:
    found = await store.read(partial(log.waiting, install_id=MINE, after=after, until=until, limit=limit))
    return [(position, record.body) for position, record in found]


async def test_an_installs_records_are_told_in_order_without_those_of_its_neighbours(
    log: PayloadLog, store: Store
) -> None:
    await append(log, MINE, b"a")
    await append(log, neighbour(log), b"x")
    await append(log, MINE, b"b", b"c")
    whole = await waiting(log, store, 0, FAR, 10)
    assert [body for _, body in whole] == [b"a", b"b", b"c"]
    first, second, third = (position for position, _ in whole)
    assert await waiting(log, store, first, third - 1, 10) == [(second, b"b")]
    assert await waiting(log, store, 0, third, 1) == [(first, b"a")]
    assert await store.read(lambda tx: log.count_waiting(tx, MINE)) == 3


async def test_no_record_lies_beyond_the_head_and_the_next_one_does(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a", b"b")
    head = await store.read(log.head)
    assert [body for _, body in await waiting(log, store, 0, head, 10)] == [b"a", b"b"]
    await append(log, MINE, b"c")
    assert len(await waiting(log, store, 0, head, 10)) == 2
    assert [body for _, body in await waiting(log, store, head, FAR, 10)] == [b"c"]


async def test_what_was_processed_waits_no_more(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a", b"b")
    partition = log.partition_of(MINE)
    epoch = (await log.lease([partition], "me", NOW, NOW + 1_000))[partition]
    first = (await waiting(log, store, 0, FAR, 1))[0][0]
    await store.write(lambda tx: log.commit(tx, partition, epoch, first))
    assert [body for _, body in await waiting(log, store, 0, FAR, 10)] == [b"b"]
    assert await store.read(lambda tx: log.count_waiting(tx, MINE)) == 1


async def test_reserved_positions_are_nobody_elses(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a")
    first = await store.write(lambda tx: log.reserve(tx, 5))
    await append(log, MINE, b"b")
    positions = [position for position, _ in await waiting(log, store, 0, FAR, 10)]
    assert not set(positions) & set(range(first, first + 5))
    assert positions[1] > first + 4
    assert await store.write(lambda tx: log.reserve(tx, 1)) > positions[1]
    assert await store.read(log.head) > positions[1]


async def test_what_is_taken_is_nobody_elses_any_more(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a")
    await append(log, neighbour(log), b"x")
    await append(log, MINE, b"b")
    partition = log.partition_of(MINE)
    epoch = (await log.lease([partition], "me", NOW, NOW + 1_000))[partition]
    read = await log.read(partition, 10)

    taken = await store.write(lambda tx: log.take(tx, MINE))

    assert [(position, record.body) for position, record in taken] == [(read[0][0], b"a"), (read[2][0], b"b")]
    assert [record.body for _, record in await log.read(partition, 10)] == [b"x"]
    assert await waiting(log, store, 0, FAR, 10) == []
    assert await store.read(lambda tx: log.count_waiting(tx, MINE)) == 0
    with pytest.raises(LeaseLost):
        await store.write(lambda tx: log.commit(tx, partition, epoch, read[2][0]))


async def test_what_a_failed_transaction_has_taken_is_there_again(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a")

    async def take(tx: Transaction) -> None:
        await log.take(tx, MINE)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(take)
    await log.trim()

    assert [body for _, body in await waiting(log, store, 0, FAR, 10)] == [b"a"]


async def test_scrubbing_and_trimming_leave_what_waits(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a")
    await append(log, neighbour(log), b"x")
    await store.write(lambda tx: log.take(tx, MINE))
    await append(log, MINE, b"b")

    await log.scrub([MINE, neighbour(log)])
    await log.trim()

    assert [record.body for _, record in await log.read(log.partition_of(MINE), 10)] == [b"x", b"b"]


async def test_the_oldest_is_the_first_that_waits(log: PayloadLog, store: Store) -> None:
    assert await store.read(log.oldest) is None
    await log.append(Record(MINE, NOW + 7, b"a"), first_of_install=False)
    await log.append(Record(neighbour(log), NOW + 9, b"x"), first_of_install=False)
    assert await store.read(log.oldest) == NOW + 7
    await store.write(lambda tx: log.take(tx, MINE))
    await log.scrub([MINE])
    assert await store.read(log.oldest) == NOW + 9


async def test_a_log_that_works_has_no_trouble(log: PayloadLog) -> None:
    assert await log.trouble() is None

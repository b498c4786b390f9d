"""What a log tells of one install, and the positions it gives away to uploads that come by another way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from unbroken.log.contract import PayloadLog, Record, partition_of
from unbroken.log.embedded import EmbeddedLog

if TYPE_CHECKING:
    from unbroken.store.contract import Store

pytestmark = pytest.mark.anyio
NOW = 1_790_000_000_000
MINE = b"install-one!"
NEIGHBOUR = next(
    other for n in range(10_000) if partition_of(other := b"install-%04d" % n) == partition_of(MINE) and other != MINE
)


@pytest.fixture
def log(store: Store) -> PayloadLog:
    return EmbeddedLog(store)


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
    await append(log, NEIGHBOUR, b"x")
    await append(log, MINE, b"b", b"c")
    whole = await waiting(log, store, 0, 10**9, 10)
    assert [body for _, body in whole] == [b"a", b"b", b"c"]
    first, second, third = (position for position, _ in whole)
    assert await waiting(log, store, first, third - 1, 10) == [(second, b"b")]
    assert await waiting(log, store, 0, third, 1) == [(first, b"a")]
    assert await store.read(lambda tx: log.count_waiting(tx, MINE)) == 3


async def test_no_record_lies_beyond_the_head_and_the_next_one_does(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a", b"b")
    head = await store.read(log.head)
    assert [position for position, _ in await waiting(log, store, 0, head, 10)][-1] == head
    await append(log, MINE, b"c")
    assert len(await waiting(log, store, 0, head, 10)) == 2
    assert [body for _, body in await waiting(log, store, head, 10**9, 10)] == [b"c"]


async def test_what_was_processed_waits_no_more(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a", b"b")
    partition = partition_of(MINE)
    epoch = (await log.lease([partition], "me", NOW, NOW + 1_000))[partition]
    first = (await waiting(log, store, 0, 10**9, 1))[0][0]
    await store.write(lambda tx: log.commit(tx, partition, epoch, first))
    assert [body for _, body in await waiting(log, store, 0, 10**9, 10)] == [b"b"]
    assert await store.read(lambda tx: log.count_waiting(tx, MINE)) == 1


async def test_reserved_positions_are_nobody_elses(log: PayloadLog, store: Store) -> None:
    await append(log, MINE, b"a")
    first = await store.write(lambda tx: log.reserve(tx, 5))
    await append(log, MINE, b"b")
    positions = [position for position, _ in await waiting(log, store, 0, 10**9, 10)]
    assert not set(positions) & set(range(first, first + 5))
    assert positions[1] > first + 4
    assert await store.write(lambda tx: log.reserve(tx, 1)) == positions[1] + 1

"""What `unbroken.log.contract` promises, on every engine."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.log.contract import LeaseLost, PayloadLog, Record, UnknownInstall, partition_of
from unbroken.randomness import SeededRandomness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Store, Transaction

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000_000
INSTALL = b"install-0001"
STRANGER = b"stranger-001"
KNOWN_OF_256 = [111, 7, 254, 150, 77, 37]


def record(body: bytes = b"body", install_id: bytes = INSTALL, at: int = NOW) -> Record:
    return Record(install_id, at, body)


async def append(log: PayloadLog, *bodies: bytes, install_id: bytes = INSTALL) -> None:
    for body in bodies:
        await log.append(record(body, install_id), first_of_install=False)


def home(log: PayloadLog) -> int:
    return log.partition_of(INSTALL)


async def bodies(log: PayloadLog, limit: int = 1000) -> list[bytes]:
    return [record.body for _, record in await log.read(home(log), limit)]


async def lease(log: PayloadLog, holder: str, now: int = NOW, until: int = NOW + 10_000) -> int | None:
    return (await log.lease([home(log)], holder, now, until)).get(home(log))


# Appending


async def test_a_record_comes_back_as_it_went(log: PayloadLog) -> None:
    await log.append(record(b"\x00\xff", at=NOW + 5), first_of_install=False)

    ((position, read),) = await log.read(home(log), 10)

    assert read == Record(INSTALL, NOW + 5, b"\x00\xff")
    assert position > 0


async def test_the_largest_body_is_taken(log: PayloadLog) -> None:
    """One of 1 MiB as it came; one that came as gzip may be larger when it is kept."""
    largest = [SeededRandomness(1).secret(size) for size in (1 << 20, 5 << 18)]
    await append(log, *largest)
    assert await bodies(log) == largest


async def test_what_was_acknowledged_is_there_after_opening_again(
    log: PayloadLog, store: Store, reopen_log: Any
) -> None:
    await append(log, b"a", b"b")
    await log.close()
    await store.close()

    assert await bodies(await reopen_log()) == [b"a", b"b"]


async def test_positions_of_a_partition_grow_in_the_order_of_the_appends(log: PayloadLog) -> None:
    await asyncio.gather(*[append(log, bytes([i])) for i in range(100)])
    await append(log, b"last")

    read = await log.read(home(log), 1000)

    assert [record.body for _, record in read] == [*(bytes([i]) for i in range(100)), b"last"]
    assert [p for p, _ in read] == sorted({p for p, _ in read})


async def test_positions_go_on_after_everything_was_processed(log: PayloadLog, store: Store) -> None:
    await append(log, b"a")
    epoch = await lease(log, "worker")
    ((first, _),) = await log.read(home(log), 1)
    await store.write(lambda tx: log.commit(tx, home(log), epoch or 0, first))
    await append(log, b"b")

    ((second, _),) = await log.read(home(log), 1)

    assert second > first


async def test_two_logs_on_one_database_never_give_a_position_twice(log: PayloadLog, reopen_log: Any) -> None:
    other = await reopen_log()

    await asyncio.gather(*[append((log, other)[i % 2], b"%d" % i) for i in range(100)])

    assert sorted(await bodies(log), key=int) == [b"%d" % i for i in range(100)]


async def test_the_first_upload_marks_its_install_as_used(log: PayloadLog, store: Store) -> None:
    installs = [b"install-%04d" % i for i in range(3)]
    add = "INSERT INTO installs (install_id, used) VALUES ($1, FALSE)"
    await store.write(lambda tx: tx.many(add, [(install_id,) for install_id in installs]))

    await asyncio.gather(
        log.append(record(install_id=installs[0]), first_of_install=True),
        log.append(record(install_id=installs[1]), first_of_install=False),
    )

    used = await store.read(lambda tx: tx.all("SELECT install_id FROM installs WHERE used = TRUE"))
    assert used == [(installs[0],)]


async def test_the_first_upload_of_an_install_that_is_not_there_is_refused_alone(log: PayloadLog) -> None:
    answers = await asyncio.gather(
        log.append(record(b"known"), first_of_install=False),
        log.append(record(b"unknown", STRANGER), first_of_install=True),
        log.append(record(b"known too"), first_of_install=False),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [type(None), UnknownInstall, type(None)]
    assert await bodies(log) == [b"known", b"known too"]


async def test_of_many_first_uploads_at_once_each_is_taken_for_itself(log: PayloadLog, store: Store) -> None:
    installs = [b"install-%04d" % i for i in range(30)]
    add = "INSERT INTO installs (install_id, used) VALUES ($1, $2)"
    await store.write(lambda tx: tx.many(add, [(one, n % 3 == 0) for n, one in enumerate(installs[:20])]))

    first = [log.append(record(one, install_id=one), first_of_install=True) for one in installs for _ in range(2)]
    answers = await asyncio.gather(*first, return_exceptions=True)

    assert [type(answer) for answer in answers] == [type(None)] * 40 + [UnknownInstall] * 20
    used = await store.read(lambda tx: tx.all("SELECT install_id FROM installs WHERE used = TRUE ORDER BY install_id"))
    assert used == [(one,) for one in installs[:20]]
    kept = [await log.read(partition, 100) for partition in {log.partition_of(one) for one in installs}]
    assert sorted(one.install_id for read in kept for _, one in read) == sorted(installs[:20] * 2)


async def test_all_that_was_appended_before_a_log_was_opened_is_found(
    log: PayloadLog, store: Store, reopen_log: Any
) -> None:
    await asyncio.gather(*[append(log, b"%d" % number) for number in range(100)])
    later = await reopen_log()
    epoch = await lease(later, "worker")
    assert epoch is not None

    seen: list[bytes] = []
    while home(later) in await later.behind():
        found = await later.read(home(later), 32)
        seen += [record.body for _, record in found]
        if found:
            await store.write(partial(later.commit, partition=home(later), epoch=epoch, position=found[-1][0]))

    assert sorted(seen, key=int) == [b"%d" % number for number in range(100)]


async def test_wait_returns_after_an_append(log: PayloadLog) -> None:
    waiting = asyncio.create_task(log.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await append(log, b"a")
    await asyncio.wait_for(waiting, 30)


async def test_wait_does_not_miss_an_append_from_before(log: PayloadLog) -> None:
    await append(log, b"a")

    await asyncio.wait_for(log.wait(), 30)


# Reading


@pytest.mark.parametrize(("partitions", "known"), [(4, [3, 3, 2, 2, 1, 1]), (256, KNOWN_OF_256)])
def test_the_partition_of_an_install_never_changes(partitions: int, known: list[int]) -> None:
    # written down, so that a changed hash is noticed: a log that exists would be read out of order
    assert [partition_of(bytes([i]) * 12, partitions) for i in range(6)] == known
    assert {partition_of(i.to_bytes(12, "big"), partitions) for i in range(10_000)} == set(range(partitions))


async def test_there_are_as_many_partitions_as_the_log_says(log: PayloadLog) -> None:
    assert len(await log.lease(range(log.partitions + 1), "worker", NOW, NOW + 1)) == log.partitions
    assert log.partition_of(INSTALL) == partition_of(INSTALL, log.partitions)


async def test_behind_names_the_partitions_with_something_to_read(log: PayloadLog, store: Store) -> None:
    assert await log.behind() == []
    installs = {log.partition_of(i.to_bytes(12, "big")): i.to_bytes(12, "big") for i in range(40)}
    for install_id in installs.values():
        await append(log, b"a", b"b", install_id=install_id)
    assert await log.behind() == sorted(installs)

    done = sorted(installs)[1]
    epochs = await log.lease([done], "worker", NOW, NOW + 1)
    (first, _), (second, _) = await log.read(done, 10)
    await store.write(lambda tx: log.commit(tx, done, epochs[done], first))
    assert done in await log.behind()
    await store.write(lambda tx: log.commit(tx, done, epochs[done], second))

    assert await log.behind() == [partition for partition in sorted(installs) if partition != done]


async def test_reading_starts_after_the_cursor_and_stops_at_the_limit(log: PayloadLog, store: Store) -> None:
    await append(log, b"a", b"b", b"c", b"d")
    epoch = await lease(log, "worker")
    assert epoch is not None
    assert await bodies(log, limit=2) == [b"a", b"b"]
    assert await bodies(log, limit=2) == [b"a", b"b"]

    position = (await log.read(home(log), 2))[-1][0]
    await store.write(lambda tx: log.commit(tx, home(log), epoch, position))

    assert await bodies(log, limit=10) == [b"c", b"d"]
    assert await log.read((home(log) + 1) % log.partitions, 10) == []


# Leases


async def test_a_lease_is_one_holders_until_it_ends(log: PayloadLog) -> None:
    first = await lease(log, "first", NOW, NOW + 100)
    assert first is not None
    assert await lease(log, "second", NOW + 99, NOW + 200) is None

    second = await lease(log, "second", NOW + 100, NOW + 200)

    assert second is not None
    assert second > first


async def test_a_renewed_lease_keeps_its_epoch(log: PayloadLog) -> None:
    first = await lease(log, "first", NOW, NOW + 100)

    assert await lease(log, "first", NOW + 50, NOW + 150) == first
    assert await lease(log, "second", NOW + 120, NOW + 200) is None
    assert await lease(log, "first", NOW + 500, NOW + 600) == first  # late, but nobody had come


async def test_a_lease_can_be_given_back(log: PayloadLog) -> None:
    await lease(log, "first", NOW, NOW + 10_000)
    await lease(log, "first", NOW + 1, NOW + 1)

    assert await lease(log, "second", NOW + 1, NOW + 100) is not None


async def test_only_the_partitions_that_can_be_had_are_leased(log: PayloadLog) -> None:
    await log.lease([1, 3], "first", NOW, NOW + 100)

    assert sorted(await log.lease([0, 1, 2, 3], "second", NOW, NOW + 100)) == [0, 2]
    assert await log.lease([], "second", NOW, NOW + 100) == {}


async def test_one_of_many_who_ask_at_once_gets_the_lease(log: PayloadLog) -> None:
    epochs = await asyncio.gather(*[lease(log, f"worker-{i}") for i in range(20)])

    assert sum(epoch is not None for epoch in epochs) == 1


# Committing


async def effect(tx: Transaction, name: str) -> None:
    await tx.run("INSERT INTO things (name, number) VALUES ($1, 0)", name)


async def effects(store: Store) -> list[str]:
    return [name for (name,) in await store.read(lambda tx: tx.all("SELECT name FROM things ORDER BY name"))]


async def process(store: Store, log: PayloadLog, epoch: int, position: int, name: str) -> None:
    async def call(tx: Transaction) -> None:
        await effect(tx, name)
        await log.commit(tx, home(log), epoch, position)

    await store.write(call)


async def test_the_cursor_moves_with_the_effect(log: PayloadLog, store: Store) -> None:
    await append(log, b"a")
    epoch = await lease(log, "worker")
    ((position, _),) = await log.read(home(log), 1)

    await process(store, log, epoch or 0, position, "a")

    assert await effects(store) == ["a"]
    assert await bodies(log) == []


async def test_the_cursor_stays_where_the_effect_fails(log: PayloadLog, store: Store) -> None:
    await append(log, b"a")
    epoch = await lease(log, "worker")
    ((position, _),) = await log.read(home(log), 1)

    async def call(tx: Transaction) -> None:
        await log.commit(tx, home(log), epoch or 0, position)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(call)

    assert await bodies(log) == [b"a"]


async def test_a_zombie_leaves_nothing(log: PayloadLog, store: Store) -> None:
    await append(log, b"a", b"b")
    zombie = await lease(log, "zombie", NOW, NOW + 100)
    (first, _), (second, _) = await log.read(home(log), 2)
    heir = await lease(log, "heir", NOW + 100, NOW + 200)
    await process(store, log, heir or 0, first, "by the heir")

    for position in (first, second):
        with pytest.raises(LeaseLost):
            await process(store, log, zombie or 0, position, "by the zombie")

    assert await effects(store) == ["by the heir"]
    assert await bodies(log) == [b"b"]


async def test_the_same_records_cannot_be_processed_twice(log: PayloadLog, store: Store) -> None:
    # a worker that was cancelled while it waited for its commit, and begins again
    await append(log, b"a")
    epoch = await lease(log, "worker")
    ((position, _),) = await log.read(home(log), 1)
    await process(store, log, epoch or 0, position, "first")

    with pytest.raises(LeaseLost):
        await process(store, log, epoch or 0, position, "second")

    assert await effects(store) == ["first"]


class Worker:
    """Takes what it can, comes back late, fails now and then."""

    def __init__(self, log: PayloadLog, store: Store, holder: str, chance: SeededRandomness, clock: list[int]) -> None:
        self._log = log
        self._store = store
        self._holder = holder
        self._chance = chance
        self._clock = clock

    async def work_until(self, count: int) -> None:
        while len(await effects_in_order(self._store)) < count:
            self._clock[0] += self._up_to(30)
            now = self._clock[0]
            epochs = await self._log.lease(await self._log.behind(), self._holder, now, now + self._up_to(50))
            for partition, epoch in epochs.items():
                await self._work_on(partition, epoch)

    async def _work_on(self, partition: int, epoch: int) -> None:
        read = await self._log.read(partition, 1 + self._up_to(5))
        for _ in range(self._up_to(4)):
            await asyncio.sleep(0)  # another worker may come first
        if not read:
            return
        fails = self._up_to(5) == 0

        async def call(tx: Transaction) -> None:
            await add_effects(tx, read)
            await self._log.commit(tx, partition, epoch, read[-1][0])
            if fails:
                raise LookupError

        with contextlib.suppress(LeaseLost, LookupError):
            await self._store.write(call)

    def _up_to(self, end: int) -> int:
        return int(self._chance.fraction() * end)


@pytest.mark.parametrize("seed", range(5))
async def test_each_record_has_one_effect_in_order_whatever_the_workers_do(
    log: PayloadLog, store: Store, seed: int
) -> None:
    """Workers that lose their lease in the middle, come back late, and fail, against appends that go on."""
    sent = {b"install-%04d" % n: [b"%d" % i for i in range(30)] for n in range(4)}
    clock = [NOW]
    workers = [Worker(log, store, f"worker-{n}", SeededRandomness(seed * 10 + n), clock) for n in range(3)]

    async with asyncio.timeout(60):
        await asyncio.gather(
            *[append(log, *all_of, install_id=install_id) for install_id, all_of in sent.items()],
            *[worker.work_until(120) for worker in workers],
        )

    done = await effects_in_order(store)
    assert {i: [body for j, body in done if j == i] for i in sent} == sent


async def add_effects(tx: Transaction, read: Sequence[tuple[int, Record]]) -> None:
    await tx.many(
        "INSERT INTO kinds (kind_no, raw, words) SELECT coalesce(max(kind_no), 0) + 1, $1, $2 FROM kinds",
        [(record.install_id, record.body.decode()) for _, record in read],
    )


async def effects_in_order(store: Store) -> list[tuple[bytes, bytes]]:
    rows = await store.read(lambda tx: tx.all("SELECT raw, words FROM kinds ORDER BY kind_no"))
    return [(install_id, body.encode()) for install_id, body in rows]

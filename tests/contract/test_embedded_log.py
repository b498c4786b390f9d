"""What the embedded log does beyond the contract: what waits is written together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.log.contract import Record
from unbroken.log.embedded import EmbeddedLog
from unbroken.store.contract import Call, ConstraintViolation, T

if TYPE_CHECKING:
    from unbroken.store.contract import Store

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000_000
INSTALL = b"install-0001"


class CountedStore:
    """A store that remembers how often it was written to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.writes = 0

    async def write(self, call: Call[T]) -> T:
        self.writes += 1
        return await self._store.write(call)

    async def read(self, call: Call[T]) -> T:
        return await self._store.read(call)


@pytest.fixture
def counted(store: Store) -> CountedStore:
    return CountedStore(store)


@pytest.fixture
def log(counted: Any) -> EmbeddedLog:
    return EmbeddedLog(counted)


def record(body: bytes) -> Record:
    return Record(INSTALL, NOW, body)


async def append(log: EmbeddedLog, body: bytes, install_id: bytes = INSTALL) -> None:
    await log.append(Record(install_id, NOW, body), first_of_install=False)


async def bodies(log: EmbeddedLog) -> list[bytes]:
    return [record.body for _, record in await log.read(log.partition_of(INSTALL), 1000)]


async def until(claim: Any) -> None:
    async with asyncio.timeout(30):
        while not claim():  # noqa: ASYNC110 - the claim is about a plain number
            await asyncio.sleep(0)


async def test_appends_that_wait_are_written_together(log: EmbeddedLog, counted: CountedStore) -> None:
    await asyncio.gather(*[append(log, b"%d" % i, install_id=b"install-%04d" % i) for i in range(100)])

    assert counted.writes == 1


async def test_while_a_write_is_in_flight_the_next_one_gathers(
    log: EmbeddedLog, counted: CountedStore, store: Store, gate: Any
) -> None:
    standing = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    waiting = [asyncio.create_task(append(log, b"first"))]
    await until(lambda: counted.writes == 1)
    waiting += [asyncio.create_task(append(log, b"%d" % i)) for i in range(50)]
    for _ in range(10):
        await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(standing, *waiting)

    assert counted.writes == 2


async def test_an_append_that_fails_gives_every_waiter_its_error_and_stores_nothing(log: EmbeddedLog) -> None:
    unfit: Any = None
    appends = [log.append(record(b"%d" % i if i != 3 else unfit), first_of_install=False) for i in range(6)]

    answers = await asyncio.gather(*appends, return_exceptions=True)

    assert all(isinstance(answer, ConstraintViolation) for answer in answers)
    assert await bodies(log) == []
    await append(log, b"next")
    assert await bodies(log) == [b"next"]


async def test_a_waiter_that_is_cancelled_before_its_turn_takes_its_record_with_it(
    log: EmbeddedLog, counted: CountedStore, store: Store, gate: Any
) -> None:
    standing = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    first = asyncio.create_task(append(log, b"first"))
    await until(lambda: counted.writes == 1)
    cancelled = asyncio.create_task(append(log, b"cancelled"))
    kept = asyncio.create_task(append(log, b"kept"))
    await asyncio.sleep(0)  # both have taken their place
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    gate.opened.set()
    await asyncio.gather(standing, first, kept)

    assert await bodies(log) == [b"first", b"kept"]

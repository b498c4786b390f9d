"""A batch from a stream ends where a message was lost on the way: what comes after it is read again, not before it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.log.jetstream.connection import Connection
from unbroken.log.jetstream.reader import Reader
from unbroken.log.jetstream.stream import Wanted
from unbroken.randomness import SystemRandomness
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.nats import delete_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from nats.aio.msg import Msg

pytestmark = pytest.mark.anyio

STORED = [1, 3, 7, 9]
"""Of one partition; 5 was deleted, and the even ones are of another partition."""


class Lossy(Connection):
    """Loses the messages with these numbers of each batch, counted from 0."""

    lost: frozenset[int] = frozenset()

    async def _subscribe(self, subject: str, arrived: Callable[[Msg], Awaitable[None]]) -> Any:
        count = 0

        async def pass_on(message: Msg) -> None:
            nonlocal count
            count += 1
            if count - 1 not in self.lost:
                await arrived(message)

        return await super()._subscribe(subject, pass_on)


@asynccontextmanager
async def filled(nats_url: str) -> AsyncIterator[tuple[Lossy, str]]:
    """A connection, and the name of a stream with `STORED` under NAME.p.1.*."""
    name = f"BATCHES_{SystemRandomness().secret(6).hex()}"
    connection = await Lossy.open(nats_url)
    try:
        wanted = {"name": name, "subjects": [f"{name}.p.*.*"], "storage": "file", "allow_direct": True}
        await connection.ask(f"STREAM.CREATE.{name}", wanted)
        for number in range(1, 10):
            await store(connection, f"{name}.p.{number % 2}.ab", number)
        await connection.ask(f"STREAM.MSG.DELETE.{name}", {"seq": 5})
        yield connection, name
    finally:
        await connection.close()
        await delete_stream(nats_url, name)


async def store(connection: Connection, subject: str, number: int) -> None:
    """Once, though it is said again while the new stream has no leader yet."""
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                await connection.request(subject, b"%d" % number, 5, {"Nats-Msg-Id": str(number)})
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("lost", "left"), [((), 4), ((0,), 0), ((1,), 1), ((2,), 2), ((3,), 3), ((1, 2), 1), ((0, 1, 2, 3), 0)]
)
async def test_what_was_lost_ends_a_batch(nats_url: str, lost: tuple[int, ...], left: int) -> None:
    async with filled(nats_url) as (connection, name):
        connection.lost = frozenset(lost)
        found = await connection.batch(name, f"{name}.p.1.*", 1, 100)
    assert [one.sequence for one in found] == STORED[:left]


async def test_whoever_reads_on_misses_nothing(nats_url: str) -> None:
    async with filled(nats_url) as (connection, name):
        connection.lost = frozenset({1})
        found = await Reader(connection, Wanted(name, 1, 1 << 20)).all_after(f"{name}.p.1.*", 0, 100)
    assert [one.sequence for one in found] == STORED

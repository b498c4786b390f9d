"""A question to JetStream that nobody answers, as while a leader is elected, is asked again before it is given up."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import nats
import pytest

from unbroken.log.jetstream import connection as module
from unbroken.log.jetstream.connection import Connection
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.nats import NatsCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nats.aio.client import Client
    from nats.aio.msg import Msg

pytestmark = pytest.mark.anyio


PATIENCE_S = 20.0


class Leader:
    """Answers no question before the `first` one."""

    def __init__(self, first: int) -> None:
        self.asked = 0
        self._first = first
        self._heard = asyncio.Semaphore(0)

    async def hear(self, message: Msg) -> None:
        self.asked += 1
        self._heard.release()
        if self.asked >= self._first:
            await message.respond(json.dumps({"asked": json.loads(message.data)}).encode())

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(times):
                await self._heard.acquire()


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """One server alone: of a cluster, another node may hear of the subscription later."""
    with NatsCluster() as one:
        yield one.url


async def until_subscribed(client: Client) -> None:
    """Wait for a message to itself. Its `flush` is no sign: nats-py writes the PING before what waits to be written."""
    echo = await client.subscribe("echo")
    await client.publish("echo")
    await echo.next_msg(PATIENCE_S)


@asynccontextmanager
async def connected(place: str, leader: Leader) -> AsyncIterator[Connection]:
    its_own, ours = await nats.connect(place), await Connection.open(place)
    try:
        await its_own.subscribe("$JS.API.TEST", cb=leader.hear)
        await until_subscribed(its_own)
        yield ours
    finally:
        await ours.close()
        await its_own.close()


async def test_a_question_that_nobody_answered_is_asked_again(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_S", (0.2, 0.2, PATIENCE_S))
    leader = Leader(first=3)
    async with connected(place, leader) as ours:
        assert await ours.ask("TEST", {"seq": 7}) == {"asked": {"seq": 7}}
    assert leader.asked == 3


async def test_after_the_last_attempt_it_is_given_up(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_S", (0.2, 0.2, 0.2))
    leader = Leader(first=99)
    async with connected(place, leader) as ours:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await ours.ask("TEST", {"seq": 7})
        await leader.until_asked(3)
    assert leader.asked == 3

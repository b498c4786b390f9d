"""A question to JetStream that nobody answers, as while a leader is elected, is asked again before it is given up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nats
import pytest

from unbroken.log.jetstream import connection as module
from unbroken.log.jetstream.connection import Connection
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

pytestmark = pytest.mark.anyio


PATIENCE_S = 20.0


class Leader:
    """Answers no question before the `first` one."""

    def __init__(self, first: int) -> None:
        self.asked = 0
        self._first = first

    async def hear(self, message: Msg) -> None:
        self.asked += 1
        if self.asked >= self._first:
            await message.respond(json.dumps({"asked": json.loads(message.data)}).encode())


async def asked_of(nats_url: str, leader: Leader) -> dict[str, object]:
    one = nats_url.split(",", maxsplit=1)[0]  # the others hear of a subscription later
    its_own, ours = await nats.connect(one), await Connection.open(one)
    try:
        await its_own.subscribe("$JS.API.TEST", cb=leader.hear)
        await its_own.flush()
        return await ours.ask("TEST", {"seq": 7})
    finally:
        await ours.close()
        await its_own.close()


async def test_a_question_that_nobody_answered_is_asked_again(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_S", (0.2, 0.2, PATIENCE_S))
    leader = Leader(first=3)
    assert await asked_of(nats_url, leader) == {"asked": {"seq": 7}}
    assert leader.asked == 3


async def test_after_the_last_attempt_it_is_given_up(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_S", (1.0, 1.0, 1.0))  # each is heard before the next, on a slow machine too
    leader = Leader(first=99)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await asked_of(nats_url, leader)
    assert leader.asked == 3

"""Publishing: an attempt without an answer is made again, an answer that says no is not, and what waits is bounded."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from unbroken.log.jetstream import publisher as module
from unbroken.log.jetstream.publisher import Publisher
from unbroken.store.contract import StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(module, "_PAUSE_S", 0.001)


class Scripted:
    """Answers as it was told, the last for ever; None: nobody answers."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.asked: list[tuple[str, bytes, dict[str, str]]] = []
        self._answers = list(answers)

    async def request(self, subject, payload, timeout_s, headers):
        self.asked.append((subject, payload, headers))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        await asyncio.sleep(0)
        if answer is None:
            raise StoreUnavailable("nobody answers")
        return SimpleNamespace(data=json.dumps(answer).encode())


def error(code: int) -> dict[str, Any]:
    return {"error": {"code": 503, "err_code": code, "description": "no"}}


async def test_an_attempt_without_an_answer_is_made_again_under_the_same_id():
    connection = Scripted(None, error(10008), {"seq": 7})
    assert await Publisher(connection).publish("subject", b"body", "id") == 7
    assert connection.asked == [("subject", b"body", {"Nats-Msg-Id": "id"})] * 3


async def test_after_a_while_it_is_given_up():
    publisher = Publisher(Scripted(None))
    with pytest.raises(StoreUnavailable):
        await publisher.publish("subject", b"body", "id")
    assert (publisher.refused, publisher.waiting_bytes, publisher.waiting_records) == (1, 0, 0)


@pytest.mark.parametrize("code", [10077, 10047, 10023])
async def test_a_full_stream_is_not_asked_again(code):
    connection = Scripted(error(code))
    with pytest.raises(StoreUnavailable, match="takes nothing now"):
        await Publisher(connection).publish("subject", b"body", "id")
    assert len(connection.asked) == 1


async def test_beyond_the_window_nothing_is_sent():
    connection = Scripted({"seq": 1})
    publisher = Publisher(connection, window_bytes=2_000)
    answers = await asyncio.gather(
        *[publisher.publish("subject", b"x" * 400, str(number)) for number in range(5)], return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [int, int, *[StoreUnavailable] * 3]
    assert len(connection.asked) == 2
    assert await publisher.publish("subject", b"x" * 400, "again") == 1

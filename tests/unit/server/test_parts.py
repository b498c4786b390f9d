"""Replies that go out in parts: as fast as they are taken, whole or visibly not, and only while somebody is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.unit.server.conftest import open_world, row

from unbroken.randomness import SystemRandomness
from unbroken.server import reply
from unbroken.server.app import Application
from unbroken.server.logs import RequestLog
from unbroken.server.metrics import Metrics
from unbroken.server.request_ids import RequestIds
from unbroken.server.route import Answer


class Told:
    """What a generator of parts lived through."""

    def __init__(self, count: int, *, fails: bool = False) -> None:
        self.made = 0
        self.is_closed = False
        self._count = count
        self._fails = fails

    async def __call__(self) -> Any:
        try:
            for number in range(self._count):
                self.made += 1
                yield b"part %d\n" % number
            if self._fails:
                raise ZeroDivisionError
        finally:
            self.is_closed = True


class Caller:
    """One request for the parts: it takes so many messages, then waits to be let on; it may go away."""

    def __init__(self, takes: int = 1_000) -> None:
        self.messages: list[dict[str, Any]] = []
        self.may_go_on = asyncio.Event()
        self.went = asyncio.Event()
        self._takes = takes
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.went.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if len(self.messages) >= self._takes:
            await self.may_go_on.wait()
        self.messages.append(message)
        await asyncio.sleep(0)

    @property
    def is_whole(self) -> bool:
        last = self.messages[-1]
        return last["type"] == "http.response.body" and not last.get("more_body", False)


def ask(tmp_path: Any, told: Told, caller_takes: int, story: Any) -> None:
    async def handler(_: Any, __: Any) -> Answer:
        return Answer(told(), headers={"x-extra": "1"})

    async def whole() -> None:
        async with open_world(tmp_path) as world:
            routes = [row(method="GET", path="/parts", handler=handler, reply=str, reply_type="application/x-ndjson")]
            application = Application(
                world.context,
                routes,
                metrics=Metrics(),
                request_log=RequestLog(enabled=False),
                request_ids=RequestIds(SystemRandomness()),
            )
            caller = Caller(caller_takes)
            scope = {"type": "http", "method": "GET", "path": "/parts", "query_string": b"", "headers": []}
            answering = asyncio.create_task(application(scope, caller.receive, caller.send))
            try:
                await story(caller, answering)
            finally:
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering

    asyncio.run(whole())


async def until(condition: Any) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to be")


def test_every_part_goes_out_and_then_the_end(tmp_path):
    told = Told(5)

    async def story(caller: Caller, answering: asyncio.Task[None]) -> None:
        await answering
        head = caller.messages[0]
        headers = dict(head["headers"])
        assert head["status"] == 200
        assert headers[b"content-type"] == b"application/x-ndjson"
        assert headers[b"x-extra"] == b"1"
        assert headers[b"cache-control"] == b"no-store"
        assert b"content-length" not in headers
        assert b"".join(message["body"] for message in caller.messages[1:]) == b"".join(
            b"part %d\n" % number for number in range(5)
        )
        assert caller.is_whole

    ask(tmp_path, told, 1_000, story)


def test_no_part_is_made_before_the_ones_before_it_were_taken(tmp_path):
    told = Told(500)

    async def story(caller: Caller, answering: asyncio.Task[None]) -> None:
        await until(lambda: len(caller.messages) == 4)
        for _ in range(100):
            await asyncio.sleep(0)
        assert told.made == 4
        caller.may_go_on.set()
        await answering
        assert told.made == 500

    ask(tmp_path, told, 4, story)


def test_a_failure_in_the_middle_is_no_end(tmp_path):
    told = Told(3, fails=True)

    async def story(caller: Caller, answering: asyncio.Task[None]) -> None:
        await answering
        assert len(caller.messages) == 4
        assert not caller.is_whole
        assert told.is_closed

    ask(tmp_path, told, 1_000, story)


def test_a_caller_that_goes_away_stops_the_parts(tmp_path):
    told = Told(10**9)

    async def story(caller: Caller, answering: asyncio.Task[None]) -> None:
        await until(lambda: len(caller.messages) > 10)
        caller.went.set()
        await answering
        assert told.is_closed
        assert not caller.is_whole

    ask(tmp_path, told, 10**9, story)


def test_a_caller_that_takes_nothing_any_more_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(reply, "STALLED_S", 0.02)
    told = Told(10)

    async def story(caller: Caller, answering: asyncio.Task[None]) -> None:
        await answering
        assert told.is_closed
        assert not caller.is_whole

    ask(tmp_path, told, 4, story)


@pytest.mark.parametrize("stopped_after", [1, 3])
def test_a_stop_of_the_platform_closes_the_parts(tmp_path, stopped_after):
    told = Told(10)

    async def story(caller: Caller, answering: asyncio.Task[None]) -> None:
        await until(lambda: len(caller.messages) == stopped_after)
        answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering
        assert told.is_closed or stopped_after == 1
        assert not caller.is_whole

    ask(tmp_path, told, stopped_after, story)

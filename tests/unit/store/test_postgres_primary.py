"""Which server is the primary: what a watch does with servers that are slow or away."""

from __future__ import annotations

import asyncio

import pytest

from unbroken.store.postgres import primary
from unbroken.store.postgres.primary import NoPrimary, Primary


class Session:
    """Of a server whose timeline is `timeline`."""

    def __init__(self, timeline: int) -> None:
        self.timeline = timeline
        self.has_ended = asyncio.Event()

    async def fetchrow(self, _: str) -> tuple[str, int]:
        return "cluster", self.timeline

    def is_closed(self) -> bool:
        return self.has_ended.is_set()

    def terminate(self) -> None:
        self.has_ended.set()


def test_a_new_primary_is_noticed_though_connecting_takes_longer_than_an_answer_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(primary, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(primary, "_ANSWER_S", 0.1)

    async def connect(url: str) -> Session:
        if url == "former":
            return Session(1)
        if url == "away":
            await asyncio.Event().wait()
        await asyncio.sleep(0.5)  # a handshake over a slow network
        return Session(2)

    async def main() -> None:
        servers = Primary(["former"])
        session = await servers.session(connect)
        servers.urls = ["former", "promoted", "away"]
        watch = asyncio.create_task(servers.keep_watch(connect))
        async with asyncio.timeout(20):
            await session.has_ended.wait()
        servers.urls = ["former"]
        with pytest.raises(NoPrimary):
            await servers.session(connect)
        watch.cancel()
        await asyncio.wait([watch])

    asyncio.run(main())

"""What stands otherwise than tokens say, on an engine whose reads suspend."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from unbroken.clock import ManualClock
from unbroken.credentials import Vault
from unbroken.domain.standing import Standing
from unbroken.flow.standings import Standings
from unbroken.store.standing_changes import Change

T = 1_790_000_000_000
PHONE: Any = b"install-0001"


class SlowStore:
    """A store that answers a read with what was there when it began, once it is let go."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.reads: list[asyncio.Event] = []

    async def read(self, call: Any) -> Any:
        seen, let_go = [change for change in self.changes if change.seq > call._seq], asyncio.Event()
        self.reads.append(let_go)
        await let_go.wait()
        return seen, None


def context_of(store: SlowStore) -> Any:
    return SimpleNamespace(store=store, clock=ManualClock(T), vault=Vault(b"p" * 32, b"s" * 32))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_nobody_passes_those_who_wait_for_the_next_read():
    async def story() -> None:
        store, standings = SlowStore(), Standings()
        context = context_of(store)
        first = asyncio.create_task(standings.refresh(context))
        await turns()
        waiting = asyncio.create_task(standings.refresh(context))
        await turns()
        store.reads[0].set()
        passing = []
        for _ in range(20):  # one more in every turn of the loop
            passing.append(asyncio.create_task(standings.refresh(context)))
            await asyncio.sleep(0)
        store.reads[1].set()
        await turns()
        assert first.done()
        assert waiting.done()
        for read in store.reads:
            read.set()
        await turns()
        for read in store.reads:
            read.set()
        await asyncio.gather(*passing)

    asyncio.run(story())


def test_a_request_that_comes_during_a_read_waits_for_the_next_and_shares_it():
    async def story() -> None:
        store, standings = SlowStore(), Standings()
        context = context_of(store)
        first = asyncio.create_task(standings.refresh(context))
        await turns()
        store.changes.append(Change(1, PHONE, Standing.SUPERSEDED.value, T))
        later = [asyncio.create_task(standings.refresh(context)) for _ in range(3)]
        await turns()
        assert len(store.reads) == 1
        store.reads[0].set()
        await turns()
        assert first.done()
        assert not any(one.done() for one in later), "they would not know of the change"
        assert len(store.reads) == 2
        store.reads[1].set()
        await asyncio.gather(*later)
        assert standings.of(PHONE, Standing.ACTIVE) is Standing.SUPERSEDED

    asyncio.run(story())


def test_a_request_whose_caller_goes_away_takes_no_other_with_it():
    async def story() -> None:
        store, standings = SlowStore(), Standings()
        context = context_of(store)
        first = asyncio.create_task(standings.refresh(context))
        await turns()
        second, third = (asyncio.create_task(standings.refresh(context)) for _ in range(2))
        await turns()
        first.cancel()
        second.cancel()
        await turns()
        store.reads[-1].set()
        await third

    asyncio.run(story())

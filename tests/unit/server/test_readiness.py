"""Whether the platform is ready: what is told of a dependency that fails, and of one that says nothing."""

from __future__ import annotations

import asyncio

import pytest

from unbroken.server import readiness
from unbroken.server.readiness import Readiness
from unbroken.store.contract import StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "ANSWERS_WITHIN_S", 0.05)


async def well() -> None:
    return None


async def unavailable() -> None:
    raise StoreUnavailable("The disk is full.")


async def test_each_that_fails_is_named_with_what_it_says():
    assert await Readiness({"store": well}).troubles() == {}
    assert await Readiness({"store": unavailable, "worker": well}).troubles() == {"store": "The disk is full."}


async def test_one_that_hangs_is_named_asked_once_at_a_time_and_believed_when_it_answers():
    asked, answers = 0, asyncio.Event()

    async def hangs() -> None:
        nonlocal asked
        asked += 1
        await answers.wait()

    ready = Readiness({"store": hangs, "worker": well})
    for _ in range(3):
        assert list(await ready.troubles()) == ["store"]
    assert asked == 1
    answers.set()
    assert await ready.troubles() == {}
    await ready.stop()


async def test_one_that_hangs_holds_up_no_end():
    ready = Readiness({"store": asyncio.Event().wait})  # type: ignore[dict-item]
    assert list(await ready.troubles()) == ["store"]
    async with asyncio.timeout(5):
        await ready.stop()

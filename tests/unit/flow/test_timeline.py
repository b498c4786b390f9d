"""A timeline is a function of ledger and payloads: how the uploads were cut and when they came does not matter."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60_000


def fix(at: int, north: float = 0.0):
    return {"kind": "location", "t": T + at * MINUTE, "lat": 51 + north, "lon": 3.7, "acc": 10}


def felt(at: int, type_: str = "walking"):
    return {"kind": "activity", "t": T + at * MINUTE, "type": type_, "confidence": 0.9}


DAY = [
    *(felt(at) for at in range(1, 8)),
    *(fix(at) for at in range(10, 60, 2)),
    *(fix(at, (at - 60) * 0.003) for at in range(60, 80)),
    *(fix(at, 0.06) for at in range(80, 200, 10)),
]


async def told(path: Path, batches, *, settle_between: bool) -> bytes:
    async with InProcess(path) as platform:
        phone = await platform.register()
        user_id = (await platform.link(phone, "anna")).id
        platform.clock.advance_to(T + 300 * MINUTE)
        for batch in batches:
            await platform.upload(phone, batch)
            if settle_between:
                await platform.settle()
        return await platform.timeline(user_id)


def test_activities_first_and_fixes_later_equal_both_at_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    at_once = asyncio.run(told(tmp_path / "a", [DAY], settle_between=False))
    apart = asyncio.run(told(tmp_path / "b", [DAY[:7], DAY[7:]], settle_between=True))
    assert json.loads(at_once)
    assert apart == at_once


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(len(DAY))), st.lists(st.integers(1, 12), min_size=1, max_size=8), st.booleans())
def test_any_order_and_any_batches_give_the_same_bytes(tmp_path_factory, order, sizes, settle_between):
    batches, at = [], 0
    while at < len(order):
        size = sizes[len(batches) % len(sizes)]
        batches.append([DAY[n] for n in order[at : at + size]])
        at += size
    batches.append(batches[0])  # and one of them again
    whole = asyncio.run(told(tmp_path_factory.mktemp("whole"), [DAY], settle_between=False))
    cut = asyncio.run(told(tmp_path_factory.mktemp("cut"), batches, settle_between=settle_between))
    assert cut == whole


@pytest.mark.parametrize("first", [0, 1])
def test_a_copy_under_a_smaller_offset_moves_the_item_and_leaves_nothing_behind(tmp_path, first):
    async def story() -> bytes:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(T + 2 * MINUTE)
            item = {"kind": "location", "t": T + 100_000, "lat": 51, "lon": 3.7}
            for sent_at in (T + 160_300, T + 120_000) if first == 0 else (T + 120_000, T + 160_300):
                await platform.upload(phone, [item], sent_at=sent_at)
                await platform.settle()
            return await platform.timeline(user_id)

    assert [event["start_ts"] for event in json.loads(asyncio.run(story()))] == [T + 100_000]

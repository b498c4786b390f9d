"""A replay that switches is killed with SIGKILL between any two of its writes; the next one finishes what it left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.flow.test_replay import late_history

from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from tests.faults.place import Place

CHILD = Path(__file__).with_name("replay_child.py")
PEOPLE = 2
WRITES = 9
"""All there are: begin, clear; for each person keep and switch; clear until nothing is left, end."""


async def served(place: Place) -> dict[bytes, list[Any]]:
    """What is told of each user."""
    store = await place.open()
    statements = ("SELECT * FROM events", "SELECT * FROM chunks", "SELECT * FROM timelines")
    told: dict[bytes, list[Any]] = {}
    for statement in statements:
        for row in await store.read(lambda tx, one=statement: tx.all(f"{one} ORDER BY 1, 2")):
            told.setdefault(row[0], []).append(row)
    await store.close()
    return told


async def build(place: Place) -> bytes:
    """People of whom the policy in force would have told more than what is served, had it been so all the time."""
    async with InProcess(place.directory) as platform:
        await platform.set_policy(late_window_days="7")
        await late_history(platform, people=PEOPLE)
        await platform.set_policy(late_window_days="30")
        return platform.app.app_id


def child(place: Place, app_id: bytes, *words: str) -> int:
    told = [sys.executable, str(CHILD), *place.words, app_id.hex(), *words]
    environment = {**os.environ, "PYTHONPATH": str(CHILD.parents[2])}
    return subprocess.run(told, check=False, env=environment).returncode


@pytest.fixture(scope="module")
def built(place_of_module):
    place_of_module.make()
    app_id = asyncio.run(build(place_of_module))
    old = asyncio.run(served(place_of_module))
    finished = place_of_module.copy("finished")
    assert child(finished, app_id) == 0
    new = asyncio.run(served(finished))
    assert all(new[user_id] != old[user_id] for user_id in old)
    return place_of_module, app_id, old, new


@pytest.mark.parametrize(("when", "number"), [("before", 0), *(("after", number) for number in range(WRITES))])
def test_a_killed_replay_leaves_the_old_timeline_or_the_new_one(built, when, number):
    original, app_id, old, new = built
    place = original.copy(f"{when}-{number}")
    assert child(place, app_id, when, str(number)) == -signal.SIGKILL
    between = asyncio.run(served(place))
    assert all(told in (old[user_id], new[user_id]) for user_id, told in between.items())
    assert child(place, app_id) == 0
    assert asyncio.run(served(place)) == new

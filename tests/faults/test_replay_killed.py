"""A replay that switches is killed with SIGKILL around each of its writes; the next one finishes what it left."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.flow.test_replay import late_history

from unbroken.store.sqlite import SqliteStore
from unbroken.testing.in_process import InProcess

CHILD = Path(__file__).with_name("replay_child.py")
PEOPLE = 2
WRITES = 9
"""All there are: begin, clear; for each person keep and switch; clear until nothing is left, end."""


async def served(path: Path) -> dict[bytes, list[Any]]:
    """What is told of each user."""
    store = await SqliteStore.open(path)
    statements = ("SELECT * FROM events", "SELECT * FROM chunks", "SELECT * FROM timelines")
    told: dict[bytes, list[Any]] = {}
    for statement in statements:
        for row in await store.read(lambda tx, one=statement: tx.all(f"{one} ORDER BY 1, 2")):
            told.setdefault(row[0], []).append(row)
    await store.close()
    return told


async def build(directory: Path) -> tuple[Path, bytes]:
    """People of whom the policy in force would have told more than what is served, had it been so all the time."""
    async with InProcess(directory) as platform:
        await platform.set_policy(late_window_days="7")
        await late_history(platform, people=PEOPLE)
        await platform.set_policy(late_window_days="30")
        return directory / "unbroken.db", platform.app.app_id


def child(path: Path, app_id: bytes, *words: str) -> int:
    return subprocess.run([sys.executable, str(CHILD), str(path), app_id.hex(), *words], check=False).returncode


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path, app_id = asyncio.run(build(tmp_path_factory.mktemp("built")))
    old = asyncio.run(served(path))
    finished = path.with_name("finished.db")
    shutil.copy(path, finished)
    assert child(finished, app_id) == 0
    new = asyncio.run(served(finished))
    assert all(new[user_id] != old[user_id] for user_id in old)
    return path, app_id, old, new


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(WRITES))
def test_a_killed_replay_leaves_the_old_timeline_or_the_new_one(built, tmp_path, when, number):
    original, app_id, old, new = built
    path = tmp_path / "unbroken.db"
    shutil.copy(original, path)
    assert child(path, app_id, when, str(number)) == -signal.SIGKILL
    between = asyncio.run(served(path))
    assert all(told in (old[user_id], new[user_id]) for user_id, told in between.items())
    assert child(path, app_id) == 0
    assert asyncio.run(served(path)) == new

"""An import is killed with SIGKILL around each of its writes: nobody is there, or the person; the next one finishes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.flow.test_archive import anna, exported, lines, same_person

from unbroken.domain.errors import NotFound
from unbroken.flow import profile
from unbroken.store import apps
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from tests.faults.place import Place

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("import_child.py")
UNSEEN = {"imports", "payloads", "events", "log_head", "sqlite_sequence"}


async def build(directory: Path) -> tuple[bytes, str]:
    async with InProcess(directory, seed=3) as platform:
        user_id, _ = await anna(platform)
        return await exported(platform, user_id), user_id


async def tables(place: Place) -> dict[str, list[Any]]:
    """What calls can see."""
    store = await place.open()
    seen = sorted(set(await store.catalogue()) - UNSEEN)
    found = {name: await store.read(lambda tx, one=name: tx.all(f"SELECT * FROM {one}")) for name in seen}
    await store.close()
    return found


def child(*words: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, str(CHILD), *words], check=False, env=environment).returncode


class Target:
    """An empty platform, the archive of a person, and what calls can see of it before."""

    def __init__(self, source: Place) -> None:
        archive, self.user_id = asyncio.run(build(source.directory))
        self.archive = source.directory / "anna.jsonl"
        self.archive.write_bytes(archive)
        self.empty = source.beside("empty")
        self.empty.make()
        self.app_id = asyncio.run(self._make_empty())
        self.before = asyncio.run(tables(self.empty))

    async def _make_empty(self) -> str:
        async with InProcess(self.empty.directory, seed=7) as platform:
            return platform.app.app_id.hex()


@pytest.fixture(scope="module")
def target(place_of_module):
    place_of_module.make()
    return Target(place_of_module)


async def again(target: Target, place: Place) -> list[bytes]:
    """What an export says once the worker is done."""
    async with InProcess(place.directory, seed=11) as platform:
        app = await platform.context.store.read(lambda tx: apps.app_by_id(tx, bytes.fromhex(target.app_id)))
        platform.key = type(platform.key)(app, platform.key.key_id, platform.key.scopes, platform.key.name)
        await platform.settle()
        try:
            await profile.profile(platform.context, platform.key, target.user_id)
        except NotFound:
            return []
        return same_person(await exported(platform, target.user_id))


def killed_at(target: Target, when: str, number: int) -> int:
    """The child's exit code; whatever it left must be nothing, or all, and the next import must finish it."""
    place = target.empty.copy(f"{when}-{number}")
    words = (*place.words, str(target.archive), target.app_id)
    code = child(*words, when, str(number))
    seen = asyncio.run(tables(place))
    is_there = bool(seen["installs"])
    if not is_there:
        assert seen == target.before
    assert child(*words) == 0
    assert asyncio.run(again(target, place)) == same_person(target.archive.read_bytes())
    return code


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_import_killed_at_any_write_leaves_nobody_or_the_person(target, when):
    for number in range(100):
        code = killed_at(target, when, number)
        if code == 0:
            assert number > 5
            return
        assert code == -signal.SIGKILL
    raise AssertionError("it never ended")


def test_the_archive_holds_enough_to_be_killed_in(target):
    archive = target.archive.read_bytes()
    assert len(lines(archive, "payload")) == 3
    assert len(lines(archive, "event")) > 3

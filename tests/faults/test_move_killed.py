"""`move` is killed with SIGKILL at its statements: one of both places is the platform, never two, and it can go on.

Between the kill and the next run somebody is erased in a source that is live still: nothing of them may arrive.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.busy import live
from tests.faults.killing import VAULT, context_on, operator
from tests.faults.move_child import SEAL, move_all, open_movable

from unbroken.clock import ManualClock, SystemClock
from unbroken.flow import erase
from unbroken.flow.context import Context
from unbroken.flow.move.sides import look_at
from unbroken.flow.standings import Standings
from unbroken.flow.verify import Wanted, verify
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.store import seal, table_rows
from unbroken.store.sqlite import SqliteStore
from unbroken.store.whereabouts import Whereabouts
from unbroken.testing.in_process import KEY_RING, START_MS, InProcess

CHILD = Path(__file__).with_name("move_child.py")
ROOT = Path(__file__).parents[2]
POSTGRES_KILLS = 6
OF_ITS_OWN = {"receipts", "seal", "sealing"}
"""A new place is to be purged again, of whom receipts tell and of earlier keys; and it bears the seal of its keys."""


async def build(directory):
    async with InProcess(directory) as platform:
        busy = await live(platform)
    (directory / "unbroken.db").rename(directory / "built.db")
    return busy.users


def killed_moves(directory, every, urls=()):
    words = [sys.executable, str(CHILD), str(directory), str(every), *urls]
    done = subprocess.run(words, check=False, timeout=900, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0
    return sorted(path for path in directory.iterdir() if path.is_dir())


async def sides(source, target):
    opened = [await open_movable(str(place)) for place in (source, target)]
    found = [await look_at(movable) for movable in opened]
    return opened, found


async def rows_of(side):
    async def read(tx):
        return {name: await table_rows.between(tx, shape, None, None) for name, shape in side.shapes.items()}

    return await side.movable.store.read_long(read)


async def erase_somebody(path, user_id):
    context = context_on(await SqliteStore.open(path, keys=KEY_RING))
    try:
        await erase.erase(context, await operator(context), user_id, dry_run=False)
    finally:
        await context.store.close()


def platform_on(store):
    clock = ManualClock(START_MS + 20 * 86_400_000)
    return Context(store, EmbeddedLog(store), clock, SystemClock(), SystemRandomness(), VAULT, Standings(), lab=True)


async def go_on(place, user_id):
    """What the kill left, and whether the move ends well."""
    source, target = place / "source.db", (place / "target").read_text()
    opened, found = await sides(source, target)
    left = tuple(side.whereabouts for side in found)
    for movable in opened:
        await movable.store.close()
    assert left.count(Whereabouts.HERE) <= 1 or not await is_marked(target), "both are live"
    if left[0] is Whereabouts.HERE:
        await erase_somebody(source, user_id)
    report = await move_all(str(source), target)
    opened, (ours, theirs) = await sides(source, target)
    try:
        assert (ours.whereabouts, theirs.whereabouts) == (Whereabouts.DEPARTED, Whereabouts.HERE)
        there, here = await rows_of(ours), await rows_of(theirs)
        assert {name: rows for name, rows in there.items() if name not in OF_ITS_OWN} == {
            name: rows for name, rows in here.items() if name not in OF_ITS_OWN
        }
        assert await opened[1].store.read(seal.find) == SEAL
        await counts_on(ours, theirs)
        if report.rounds:
            await opened[1].store.use_keys(KEY_RING)
            assert (await verify(platform_on(opened[1].store), Wanted(), share=1)).findings == []
    finally:
        for movable in opened:
            await movable.store.close()
    assert (await move_all(str(source), target)).was_done
    return left


async def is_marked(target):
    (movable,) = [await open_movable(target)]
    try:
        return (await look_at(movable)).mark is not None
    finally:
        await movable.store.close()


async def counts_on(ours, theirs):
    """The next number is given out by the new place as it would have been by the old one."""
    numbers = [await numbers_of(side) for side in (ours, theirs)]
    assert numbers[0] == numbers[1]
    assert set(numbers[0]) == {"facts", "changes"}
    assert min(numbers[0].values()) > 0


async def numbers_of(side):
    async def read(tx):
        counted = {name: shape for name, shape in side.shapes.items() if shape.counter is not None}
        return {name: await side.movable.counted(tx, shape) for name, shape in counted.items()}

    return await side.movable.store.read(read)


def check(directory, every, urls=()):
    users = asyncio.run(build(directory))
    places = killed_moves(directory, every, urls)
    return [asyncio.run(go_on(place, users["anna"])) for place in places]


def test_killed_at_some_statements_it_goes_on(tmp_path):
    assert_in_order(check(tmp_path, every=19))


@pytest.mark.prove
def test_killed_at_each_statement_it_goes_on(tmp_path):
    left = check(tmp_path, every=1)
    assert_in_order(left)
    print(f"\n{len(left)} moves, each killed at another statement, went on and ended: {sorted(set(left))}")


def test_killed_on_the_way_to_postgresql_it_goes_on(tmp_path, schemas):
    left = check(tmp_path, every=33, urls=[schemas.create() for _ in range(POSTGRES_KILLS)])
    assert len(left) == POSTGRES_KILLS
    assert_in_order(left)


def assert_in_order(left):
    """Nothing comes back: the target is filled while the source is live, then the source is left, then it is there."""
    order = [
        (Whereabouts.HERE, Whereabouts.EMPTY),
        (Whereabouts.HERE, Whereabouts.HERE),
        (Whereabouts.HERE, Whereabouts.ARRIVING),
        (Whereabouts.DEPARTED, Whereabouts.ARRIVING),
        (Whereabouts.DEPARTED, Whereabouts.HERE),
    ]
    assert len(set(left)) >= 2, left
    assert [order.index(one) for one in left] == sorted(order.index(one) for one in left)

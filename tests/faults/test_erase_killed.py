"""An erasure is killed with SIGKILL at each statement: the person is there whole or gone whole, never in between.

After the restart whatever the files still hold of somebody who is gone is purged by the worker's first tidying.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.faults.killing import VAULT, open_context
from tests.unit.flow.test_erase import everything, person

from unbroken import wire
from unbroken.domain.app import Scope
from unbroken.flow import administer, erase, receipts
from unbroken.flow.authenticate import NO_KEY, KeyCaller
from unbroken.flow.tidy import tidy
from unbroken.flow.traces import Names, search
from unbroken.testing.in_process import InProcess

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("erase_child.py")
DIGESTED = ("receipts", "tombstones", "facts", "sqlite_sequence", "changes")
"""What holds something after an erasure that it did not hold before."""


class Opened:
    """A store as `everything` looks at it."""

    def __init__(self, context):
        self.context = context


async def build(directory):
    """Two people, one of whom was linked to the other's account by mistake once."""
    async with InProcess(directory) as platform:
        mistaken = await platform.register()
        wrong = await platform.link(mistaken, "anna")
        user_id, _ = await person(platform, "anna", phones=2)
        await person(platform, "berta", phones=1)
        await platform.undo(wrong.link_id)
        names = Names.of(await erase.names(platform.context, platform.key, user_id))
    (directory / "unbroken.db").rename(directory / "built.db")
    return user_id, names


async def outcome(place, user_id, names, old, new):
    """`old` or `new`; anything in between fails."""
    context = await open_context(place / "unbroken.db")
    try:
        rows = await everything(Opened(context))
        (app,) = await administer.list_apps(context)
        caller = KeyCaller(app, NO_KEY, frozenset(Scope), "operator")
        if rows == old:
            receipt = await erase.erase(context, caller, user_id, dry_run=False)
            found = "old"
        else:
            assert {table: rows[table] for table in rows if table not in DIGESTED} == new
            receipt = await erase.erase(context, caller, user_id, dry_run=True)
            found = "new"
            assert receipts.verify(wire.encode(receipt), receipts.public_key(VAULT)) == receipt
        await tidy(context)
        assert await search(context, place, names) == {}
        assert await erase.erase(context, caller, user_id, dry_run=False) == receipt
        return found
    finally:
        await context.store.close()


def test_killed_at_each_statement_the_person_is_there_or_gone(tmp_path):
    user_id, names = asyncio.run(build(tmp_path))
    words = [sys.executable, str(CHILD), str(tmp_path), user_id]
    done = subprocess.run(words, check=False, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0
    places = sorted(path for path in tmp_path.iterdir() if path.is_dir())

    async def look():
        context = await open_context(tmp_path / "built.db")
        old = await everything(Opened(context))
        await context.store.close()
        context = await open_context(places[-1] / "unbroken.db")
        last = await everything(Opened(context))
        await context.store.close()
        new = {table: last[table] for table in last if table not in DIGESTED}
        assert new != {table: old[table] for table in new}
        return [await outcome(place, user_id, names, old, new) for place in places]

    outcomes = asyncio.run(look())
    assert len(outcomes) > 60
    assert outcomes == sorted(outcomes, reverse=True), "once it was gone, it came back"
    assert set(outcomes) == {"old", "new"}

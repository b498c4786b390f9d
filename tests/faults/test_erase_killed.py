"""An erasure is killed with SIGKILL at each statement: the person is there whole or gone whole, never in between.

After the restart whatever the files still hold of somebody who is gone is purged by the worker's first tidying.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.faults.killing import VAULT, killed, open_context
from tests.faults.place import SQLITE
from tests.unit.flow.test_erase import everything, person

from unbroken import wire
from unbroken.domain.app import Scope
from unbroken.flow import administer, erase, receipts
from unbroken.flow.authenticate import NO_KEY, KeyCaller
from unbroken.flow.tidy import tidy
from unbroken.flow.traces import Names, search
from unbroken.testing.in_process import InProcess

CHILD = Path(__file__).with_name("erase_child.py")
DIGESTED = ("receipts", "tombstones", "facts", "sqlite_sequence", "changes", "audit")
"""What holds something after an erasure that it did not hold before."""


class Opened:
    """A store as `everything` looks at it."""

    def __init__(self, context):
        self.context = context


async def build(place):
    """Two people, one of whom was linked to the other's account by mistake once."""
    async with InProcess(place.directory) as platform:
        mistaken = await platform.register()
        wrong = await platform.link(mistaken, "anna")
        user_id, _ = await person(platform, "anna", phones=2)
        await person(platform, "berta", phones=1)
        await platform.undo(wrong.link_id)
        names = Names.of(await erase.names(platform.context, platform.key, user_id))
    return user_id, names


async def outcome(place, user_id, names, old, new):
    """`old` or `new`; anything in between fails."""
    context = await open_context(place)
    try:
        rows = await everything(Opened(context))
        (app,) = await administer.list_apps(context)
        caller = KeyCaller(app, NO_KEY, frozenset(Scope), "operator")
        if rows == old:
            receipt = await erase.erase(context, caller, user_id, dry_run=False)
            found = "old"
        else:
            assert {table: rows[table] for table in rows if table not in DIGESTED} == new
            receipt = await erase.erase(
                context, caller, user_id, dry_run=True
            )  # a real call would purge, as `tidy` must
            found = "new"
        await tidy(context)
        assert await search(context, place.directory, names) == {}
        again = await erase.erase(context, caller, user_id, dry_run=False)
        assert receipts.verify(wire.encode(again), receipts.public_key(VAULT)) == again
        assert unsigned(again) == unsigned(receipt)
        return found
    finally:
        await context.store.close()


def unsigned(receipt: wire.Receipt) -> wire.Receipt:
    """As a dry run tells it, without the mark."""
    return msgspec.structs.replace(receipt, key_id="", signature="", dry_run=False)


def test_killed_at_some_statements_the_person_is_there_or_gone(place):
    check(place, every=3 if place.engine == SQLITE else 23)


@pytest.mark.prove
def test_killed_at_each_statement_the_person_is_there_or_gone(place):
    done = check(place, every=1)
    print(f"\n{place.engine}: {len(done)} erasures, each killed at another statement, went on and ended")


def check(place, every):
    place.make()
    user_id, names = asyncio.run(build(place))
    left = killed(CHILD, place, every, user_id)

    async def look():
        old, last = await rows_of(place), await rows_of(left[-1])
        new = {table: last[table] for table in last if table not in DIGESTED}
        assert new != {table: old[table] for table in new}
        return [await outcome(one, user_id, names, old, new) for one in left]

    outcomes = asyncio.run(look())
    assert len(outcomes) * every > 60
    assert outcomes == sorted(outcomes, reverse=True), "once it was gone, it came back"
    assert set(outcomes) == {"old", "new"}
    return outcomes


async def rows_of(place):
    context = await open_context(place)
    try:
        return await everything(Opened(context))
    finally:
        await context.store.close()

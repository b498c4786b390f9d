"""The upgrade that seals external ids is killed with SIGKILL at many statements; the next start ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.busy import live
from tests.faults.killing import killed
from tests.faults.place import SQLITE
from tests.unit.flow.earlier import as_version_7_left_it

from unbroken.store import sealed
from unbroken.testing.in_process import KEY_RING, InProcess

if TYPE_CHECKING:
    from tests.faults.place import Place

CHILD = Path(__file__).parent / "upgrade_child.py"
LEFT_OUT = {"sqlite_sequence", "schema_migrations", "sealing"}


async def rows(store: Any) -> dict[str, list[Any]]:
    return {
        name: sorted(await store.read_long(lambda tx, name=name: tx.all(f"SELECT * FROM {name}")), key=repr)
        for name in (await store.catalogue()).keys() - LEFT_OUT
    }


def test_an_upgrade_that_is_killed_anywhere_is_ended_by_the_next_start(place: Place) -> None:
    async def build() -> dict[str, list[Any]]:
        async with InProcess(place.directory) as platform:
            await live(platform)
            before = await rows(platform.context.store)
            await as_version_7_left_it(platform.context.store, KEY_RING)
            return before

    async def opened(killed_one: Place) -> dict[str, list[Any]]:
        store = await killed_one.open()
        try:
            state = await store.read(sealed.in_force)
            assert (state.key_no, state.old_key_no) == (1, None)
            return await rows(store)
        finally:
            await store.close()

    before = asyncio.run(build())
    left = killed(CHILD, place, 5 if place.engine == SQLITE else 11)
    assert len(left) > 12
    for one in left:
        assert asyncio.run(opened(one)) == before

"""Moving a platform from place to place: what its data directory holds goes along, then `flow/move` moves its tables.

The keys are in a data directory, not in a database. Servers on a PostgreSQL database have one too: where the database
goes there, the directory stays where it is and in use. In another directory there must be the same keys, or none yet.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.flow import move as step
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory, keys
from unbroken.server.data_directory import Mode
from unbroken.server.platform import open_movable, seal_of
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from unbroken.flow.move import Progress, Report
    from unbroken.server.places import Place
    from unbroken.store.movable import Movable


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which platform is to go where.

    Args:
        data: the data directory of the servers on the source, where that is PostgreSQL.
    """

    source: Place
    target: Place
    data: Path

    @property
    def keys_of_source(self) -> Path:
        """The directory with the platform's keys."""
        return self.source.directory or self.data

    @property
    def keys_of_target(self) -> Path:
        """The directory in which they are to be."""
        return self.target.directory or self.keys_of_source


async def look_before(wanted: Wanted) -> Report:
    """What the move would have to do; nothing is changed.

    Raises:
        CannotStart, Conflict: it would be refused.
    """
    _refuse_unfit(wanted)
    async with _opened(wanted.source) as source:
        if wanted.target.directory is not None:
            await step.refuse_stream(source)
        if wanted.target.directory is not None and not wanted.target.database.exists():
            report = await step.look_before(source, None)
            report.target = str(wanted.target.database)
            return report
        async with _opened(wanted.target) as target:
            return await step.look_before(source, target)


async def move(wanted: Wanted, tell: Progress) -> Report:
    """Move the platform, or go on with a move that did not end.

    Raises:
        CannotStart, Conflict, StoreError: with a sentence for the operator.
    """
    await look_before(wanted)
    if wanted.target.directory is not None:
        data_directory.prepare(wanted.target.directory, Mode(lab=False))
        keys.carry(wanted.keys_of_source, wanted.target.directory)
    randomness = SystemRandomness()
    seal = seal_of(keys.open_vault(wanted.keys_of_source, randomness), Mode(lab=False))
    async with _opened(wanted.source) as source, _opened(wanted.target, make=True) as target:
        report = await step.move(source, target, seal, randomness, tell)
    if wanted.target.directory is not None and not report.was_done:
        keys.carry(wanted.keys_of_source, wanted.target.directory)  # a rotation may have added one meanwhile
    return report


def _refuse_unfit(wanted: Wanted) -> None:
    if wanted.source.is_same(wanted.target):
        raise CannotStart("--from and --to are the same place.")
    if data_directory.read_mode(wanted.keys_of_source).lab:
        raise CannotStart(
            f"{wanted.keys_of_source} is a lab's. A lab is for tests and stays where it is: make another one."
        )
    keys.refuse_others(wanted.keys_of_source, wanted.keys_of_target)


@asynccontextmanager
async def _opened(place: Place, *, make: bool = False) -> AsyncIterator[Movable]:
    movable = await open_movable(place, make=make)
    try:
        yield movable
    finally:
        await movable.store.close()

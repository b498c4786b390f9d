"""The composition root: the one place that names engines, and opens a data directory with them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unbroken.clock import SystemClock
from unbroken.flow import administer
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SeededRandomness, SystemRandomness
from unbroken.server import data_directory
from unbroken.server.data_directory import DATABASE_FILE, Mode
from unbroken.server.keys import open_vault
from unbroken.server.lab import CLOCK_FILE, LabClock
from unbroken.server.trouble import CannotStart
from unbroken.store.contract import StoreRefused
from unbroken.store.sqlite import SqliteStore
from unbroken.store.sqlite.moving import MovableSqlite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from unbroken.clock import Clock
    from unbroken.server.places import Place
    from unbroken.store.movable import Movable


@dataclass(slots=True)
class Opened:
    """A data directory in use."""

    context: Context
    mode: Mode
    lab_clock: LabClock | None

    async def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        await self.context.store.close()
        if self.lab_clock is not None:
            self.lab_clock.close()
            self.lab_clock = None


async def open_data(data: Path, mode: Mode, *, serving: bool) -> Opened:
    """Open what `data_directory.prepare` found.

    `serving` is False for one command beside a server: it looks at a lab's clock, and never moves it.

    Raises:
        CannotStart: with a sentence for the operator.
    """
    randomness = SystemRandomness()
    try:
        vault = open_vault(data, randomness, is_new=not (data / DATABASE_FILE).exists())
        lab_clock = LabClock(data / CLOCK_FILE, writable=serving) if mode.lab else None
        store = await SqliteStore.open(data / DATABASE_FILE)
    except OSError as error:
        raise CannotStart(f"{data} cannot be used: {error.strerror or error}.") from error
    except StoreRefused as error:
        raise CannotStart(str(error)) from error
    wall = SystemClock()
    clock: Clock = wall if lab_clock is None else lab_clock
    context = Context(store, EmbeddedLog(store), clock, wall, randomness, vault, Standings(), mode.lab)
    return Opened(await _with_seed(context, mode) if serving else context, mode, lab_clock)


@asynccontextmanager
async def open_for_command(data: Path, *, create: bool = False) -> AsyncIterator[Context]:
    """The context of one command on the data, also while a server runs on it.

    `create` makes the directory if it is not there (as one that is no lab).

    Raises:
        CannotStart: with a sentence for the operator.
    """
    mode = data_directory.prepare(data, Mode(lab=False)) if create else data_directory.read_mode(data)
    opened = await open_data(data, mode, serving=False)
    try:
        await opened.context.standings.load(opened.context)
        yield opened.context
    finally:
        await opened.close()


async def open_movable(place: Place, *, make: bool) -> Movable:
    """The database at a place, as it is.

    Args:
        make: make an empty file where there is none.

    Raises:
        CannotStart: with a sentence for the operator, and without the URL's password.
    """
    try:
        if place.directory is not None:
            return await MovableSqlite.open(place.database, make=make)
        try:
            from unbroken.store.postgres.moving import MovablePostgres  # noqa: PLC0415 - its driver is an extra
        except ModuleNotFoundError as error:
            if error.name != "asyncpg":
                raise
            raise CannotStart("PostgreSQL needs its driver. Run: pip install 'unbroken[server,postgres]'") from error
        return await MovablePostgres.open(place.url)
    except StoreRefused as error:
        raise CannotStart(str(error)) from error


async def _with_seed(context: Context, mode: Mode) -> Context:
    """A lab with a seed goes on counting where it was."""
    if mode.seed is None:
        return context
    return replace(context, randomness=SeededRandomness(mode.seed, await administer.id_counts(context)))

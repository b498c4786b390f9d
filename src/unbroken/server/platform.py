"""The composition root: the one place that names engines, and opens a data directory with them.

A data directory holds the keys, the mark of a lab and, unless a PostgreSQL database is named, the database.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.clock import SystemClock
from unbroken.flow import administer
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.randomness import SeededRandomness, SystemRandomness
from unbroken.server import data_directory
from unbroken.server import settings as settings_of_server
from unbroken.server.account import account
from unbroken.server.data_directory import DATABASE_FILE, Mode
from unbroken.server.engines import needed, open_log
from unbroken.server.keys import KEYS_FILE, open_key_ring, open_vault
from unbroken.server.lab import CLOCK_FILE, LabClock
from unbroken.server.trouble import CannotStart
from unbroken.store import seal
from unbroken.store.contract import StoreError, StoreRefused
from unbroken.store.sqlite import SqliteStore
from unbroken.store.sqlite.moving import MovableSqlite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from unbroken.clock import Clock
    from unbroken.credentials import Vault
    from unbroken.log.contract import PayloadLog
    from unbroken.randomness import Randomness
    from unbroken.server.places import Place
    from unbroken.server.settings import Settings
    from unbroken.store.contract import Store
    from unbroken.store.movable import Movable
    from unbroken.store.postgres import PostgresStore


@dataclass(slots=True)
class Opened:
    """A data directory in use.

    Args:
        is_shared: other processes may serve on the same database.
    """

    context: Context
    mode: Mode
    lab_clock: LabClock | None
    is_shared: bool

    async def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        await self.context.log.close()
        await self.context.store.close()
        if self.lab_clock is not None:
            self.lab_clock.close()
            self.lab_clock = None


async def open_data(settings: Settings, mode: Mode, *, serving: bool) -> Opened:
    """Open what `data_directory.prepare` found, the database, and the payload log.

    `serving` is False for one command beside a server: it looks at a lab's clock, and never moves it.

    Raises:
        CannotStart: with a sentence for the operator, and without the URL's password.
    """
    randomness, data = SystemRandomness(), settings.data
    try:
        store, vault = await _open_store(data, mode, settings.database_url, randomness)
        log = await _open_log(store, settings, randomness)
        lab_clock = LabClock(data / CLOCK_FILE, writable=serving) if mode.lab else None
    except OSError as error:
        raise CannotStart(f"{data} cannot be used: {error.strerror or error}.") from error
    except StoreError as error:
        raise CannotStart(str(error)) from error
    wall = SystemClock()
    clock: Clock = wall if lab_clock is None else lab_clock
    context = Context(store, log, clock, wall, randomness, vault, Standings(), mode.lab)
    is_shared = bool(settings.database_url)
    return Opened(await _with_seed(context, mode) if serving else context, mode, lab_clock, is_shared)


async def _open_log(store: Store, settings: Settings, randomness: Randomness) -> PayloadLog:
    try:
        return await open_log(store, settings, randomness)
    except BaseException:
        await store.close()
        raise


async def _open_store(data: Path, mode: Mode, url: str, randomness: Randomness) -> tuple[Store, Vault]:
    """The database with the keys it was written with. Keys are made only where nothing was ever stored under some."""
    if not url:
        vault = open_vault(data, randomness, is_new=not (data / DATABASE_FILE).exists())
        return await SqliteStore.open(data / DATABASE_FILE, keys=open_key_ring(data)), vault
    store = await _open_postgres(url)
    try:
        borne = await store.read(seal.find)  # a sealed one is not written to: that waits for a standby that is away
        vault = open_vault(data, randomness, is_new=borne is None)
        mark = seal_of(vault, mode)
        if borne is None:
            borne = await store.write(lambda tx: seal.agree(tx, mark))
        _refuse_other(borne, mark, data)
        await store.use_keys(open_key_ring(data))
    except BaseException:
        await store.close()
        raise
    return store, vault


def seal_of(vault: Vault, mode: Mode) -> seal.Seal:
    """What a database bears that is written with these keys."""
    return seal.Seal(vault.tombstone(_SEAL), mode.lab)


def _refuse_other(found: seal.Seal, mark: seal.Seal, data: Path) -> None:
    if found.keys_digest != mark.keys_digest:
        raise CannotStart(_OTHER_KEYS.format(path=data / KEYS_FILE))
    if found.is_lab != mark.is_lab:
        raise CannotStart(_OTHER_MODE[found.is_lab].format(data=data))


async def _open_postgres(url: str) -> PostgresStore:
    with needed(*_DRIVER):
        from unbroken.store.postgres import PostgresStore  # noqa: PLC0415 - its driver is an extra
    return await PostgresStore.open(url)


@asynccontextmanager
async def open_for_command(data: Path, *, create: bool) -> AsyncIterator[Context]:
    """The context of one command on the data, also while a server runs on it.

    `create` makes the directory if it is not there (as one that is no lab).

    Raises:
        CannotStart: with a sentence for the operator.
    """
    mode = data_directory.prepare(data, Mode(lab=False)) if create else data_directory.read_mode(data)
    settings = settings_of_server.load(data=data)
    if not create and not settings.database_url:
        data_directory.refuse_without_database(data)
    opened = await open_data(settings, mode, serving=False)
    context = replace(opened.context, account=account())
    try:
        await context.standings.load(context)
        yield context
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
        with needed(*_DRIVER):
            from unbroken.store.postgres.moving import MovablePostgres  # noqa: PLC0415 - its driver is an extra
        return await MovablePostgres.open(place.url)
    except StoreRefused as error:
        raise CannotStart(str(error)) from error


async def _with_seed(context: Context, mode: Mode) -> Context:
    """A lab with a seed goes on counting where it was."""
    if mode.seed is None:
        return context
    return replace(context, randomness=SeededRandomness(mode.seed, await administer.id_counts(context)))


_DRIVER: Final = ("asyncpg", "PostgreSQL needs its driver. Run: pip install 'unbroken[server,postgres]'")
_SEAL: Final = b"the database of these keys"
_OTHER_KEYS: Final = (
    "The database was written with other keys than those in {path}. Copy keys.json from the data directory of a server"
    " that works on it, or name another database with UNBROKEN_DATABASE_URL."
)
_OTHER_MODE: Final = {
    True: "The database is a lab's, and {data} is none. Name another of the two.",
    False: "{data} is a lab's, and the database is none. Name another of the two.",
}

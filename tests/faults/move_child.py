"""Moves for test_move_killed.py, the n-th of them killed where its n-th statement that writes begins.

DIRECTORY EVERY [URL...]   each N is a multiple of EVERY; with URLs one move goes to each of them instead
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbroken.flow.move import move
from unbroken.randomness import SystemRandomness
from unbroken.store.postgres.moving import MovablePostgres
from unbroken.store.postgres.transaction import PostgresTransaction
from unbroken.store.seal import Seal
from unbroken.store.sqlite.moving import MovableSqlite
from unbroken.store.sqlite.transaction import SqliteTransaction

if TYPE_CHECKING:
    from unbroken.store.movable import Movable

SEAL = Seal(b"k" * 32, is_lab=False)


def silent(_step: str, _table: str, _rows: int) -> None:
    """Nobody looks."""


async def open_movable(place: str) -> Movable:
    if "://" in place:
        return await MovablePostgres.open(place)
    return await MovableSqlite.open(Path(place), make=True)


async def move_all(source: str, target: str) -> Any:
    ours, theirs = await open_movable(source), await open_movable(target)
    try:
        return await move(ours, theirs, SEAL, SystemRandomness(), silent)
    finally:
        await ours.store.close()
        await theirs.store.close()


def kill_at(number: int) -> None:
    """SIGKILL to this process where its `number`-th statement begins that writes, on whichever side."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    for kind in (SqliteTransaction, PostgresTransaction):
        for name in ("run", "many"):
            setattr(kind, name, _counted(getattr(kind, name), count))


def _counted(method: Any, count: Any) -> Any:
    async def counted(*words: Any) -> Any:
        count()
        return await method(*words)

    return counted


def moved(source: str, target: str, number: int) -> int:
    """Move in a process of its own; its wait status."""
    if (child := os.fork()) == 0:
        try:
            kill_at(number)
            asyncio.run(move_all(source, target))
        except BaseException:  # noqa: BLE001 - it must not come back
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main(directory: Path, every: int, urls: list[str]) -> int:
    for number in range(1, 10_000):
        place = directory / f"{number:04}"
        place.mkdir()
        shutil.copy(directory / "built.db", place / "source.db")
        target = urls[number - 1] if urls else str(place / "target.db")
        (place / "target").write_text(target)
        status = moved(str(place / "source.db"), target, number * every)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)
        if number == len(urls):
            return 0
    raise AssertionError("it never ended")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))

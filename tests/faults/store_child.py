"""Other processes for test_store_faults.py: `store_child.py ROLE PATH`.

writer   writes pairs of rows and appends records from many tasks; says `pair N` or `record N` once it was told durable
holder   takes the lock on the database, says `held`, and lets go when its input ends
forgets  writes one row, says `written`, and ends without closing the store
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unbroken.log.contract import Record
from unbroken.log.embedded import EmbeddedLog
from unbroken.store.migrate import load, packaged
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

MIGRATIONS = [
    *load(Path(__file__).parents[1] / "contract" / "migrations"),
    *(migration for migration in packaged() if migration.name.startswith("log")),
]


def say(words: str) -> None:
    os.write(1, f"{words}\n".encode())


async def write(path: Path) -> None:
    store = await SqliteStore.open(path, migrations=MIGRATIONS)
    log = EmbeddedLog(store)
    row = await store.read(lambda tx: tx.one("SELECT coalesce(max(number), 0) FROM things"))
    assert row is not None
    numbers = itertools.count(int(row[0]) + 1)

    async def pair(number: int) -> None:
        async def call(tx: Transaction) -> None:
            for half in ("left", "right"):
                await tx.run("INSERT INTO things (name, number) VALUES ($1, $2)", f"{half} {number}", number)

        await store.write(call)
        say(f"pair {number}")

    async def record(number: int) -> None:
        install_id = (number % 50).to_bytes(12, "big")
        await log.append(Record(install_id, number, b"%d" % number), first_of_install=False)
        say(f"record {number}")

    async def client(act: int) -> None:
        while True:
            await (pair, record)[act % 2](next(numbers))

    await asyncio.gather(*[client(n) for n in range(16)])


def hold(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("held")
    sys.stdin.read()
    connection.execute("ROLLBACK")
    connection.close()


async def forget(path: Path) -> None:
    store = await SqliteStore.open(path, migrations=MIGRATIONS)
    await store.write(lambda tx: tx.run("INSERT INTO things (name, number) VALUES ('a', 1)"))
    say("written")


if __name__ == "__main__":
    role, place = sys.argv[1], Path(sys.argv[2])
    if role == "writer":
        asyncio.run(write(place))
    elif role == "holder":
        hold(place)
    elif role == "forgets":
        asyncio.run(forget(place))

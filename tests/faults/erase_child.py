"""Erasures for test_erase_killed.py, each in a process of its own that is killed with SIGKILL: `DIRECTORY USER_ID`.

The n-th is killed when SQLite begins its n-th statement (begin, commit, the emptying of the log and the single steps of
writing the file anew are such), in a copy `DIRECTORY/n` of the database `DIRECTORY/built.db`. The last one is not
killed any more.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.flow import administer, erase
from unbroken.flow.authenticate import NO_KEY, KeyCaller
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.store.sqlite import SqliteStore, store
from unbroken.testing.in_process import START_MS

if TYPE_CHECKING:
    import sqlite3

VAULT = Vault(pepper=b"p" * 32, signing_key=b"s" * 32)


async def open_context(path: Path) -> Context:
    opened = await SqliteStore.open(path)
    log, clock = EmbeddedLog(opened), ManualClock(START_MS + 10 * 86_400_000)
    return Context(opened, log, clock, SystemClock(), SystemRandomness(), VAULT, Standings(), lab=True)


async def run(path: Path, user_id: str, kill_at: int) -> None:
    connect, seen, is_begun = store.connect, 0, False

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if is_begun and seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(path: Path, *, busy_timeout_s: float, writes: bool) -> sqlite3.Connection:
        connection = connect(path, busy_timeout_s=busy_timeout_s, writes=writes)
        if writes:
            connection.set_trace_callback(count)
        return connection

    store.connect = traced
    context = await open_context(path)
    (app,) = await administer.list_apps(context)
    caller = KeyCaller(app, NO_KEY, frozenset(Scope), "operator")
    seen, is_begun = 0, True
    await erase.erase(context, caller, user_id, dry_run=False)


def main(directory: Path, user_id: str) -> None:
    for kill_at in range(1, 10_000):
        place = directory / f"{kill_at:04}"
        place.mkdir()
        shutil.copy(directory / "built.db", place / "unbroken.db")
        if (child := os.fork()) == 0:
            try:
                asyncio.run(run(place / "unbroken.db", user_id, kill_at))
            except BaseException:  # noqa: BLE001 - it must not come back to the loop
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

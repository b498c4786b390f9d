"""Calls that are killed with SIGKILL at each of their statements, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.flow import administer
from unbroken.flow.authenticate import NO_KEY, KeyCaller
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.store.sqlite import SqliteStore, store
from unbroken.testing.in_process import START_MS

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from unbroken.randomness import Randomness

VAULT = Vault(pepper=b"p" * 32, signing_key=b"s" * 32)
NOW_MS = START_MS + 10 * 86_400_000

Doing = Callable[[Context, KeyCaller], Awaitable[Any]]


Counts = Callable[[str], bool]
"""Whether to be killed where a statement begins."""


def any_statement(statement: str) -> bool:
    return True


async def open_context(path: Path, randomness: Randomness | None = None) -> Context:
    opened = await SqliteStore.open(path)
    log, clock = EmbeddedLog(opened), ManualClock(NOW_MS)
    chance = randomness or SystemRandomness()
    return Context(opened, log, clock, SystemClock(), chance, VAULT, Standings(), lab=True)


async def operator(context: Context) -> KeyCaller:
    """Who may do everything in the one app there is."""
    (app,) = await administer.list_apps(context)
    return KeyCaller(app, NO_KEY, frozenset(Scope), "operator")


async def run(path: Path, doing: Doing, kill_at: int, counts: Counts, randomness: Randomness | None) -> None:
    connect, seen, is_begun = store.connect, 0, False

    def count(statement: str) -> None:
        nonlocal seen
        if is_begun and counts(statement):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def traced(path: Path, *, busy_timeout_s: float, writes: bool) -> sqlite3.Connection:
        connection = connect(path, busy_timeout_s=busy_timeout_s, writes=writes)
        if writes:
            connection.set_trace_callback(count)
        return connection

    store.connect = traced
    context = await open_context(path, randomness)
    caller = await operator(context)
    is_begun = True
    await doing(context, caller)


def at_each_statement(
    directory: Path, doing: Doing, counts: Counts = any_statement, randomness: Randomness | None = None
) -> None:
    """Kill the n-th run where SQLite begins its n-th statement that counts, in a copy `n` of `built.db`.

    Begin, commit, the emptying of the log and the single steps of writing a file anew are statements too. The last run
    is not killed; it ends without closing anything. Ends this process, with that run's exit code.
    """
    for kill_at in range(1, 10_000):
        place = directory / f"{kill_at:04}"
        place.mkdir()
        shutil.copy(directory / "built.db", place / "unbroken.db")
        if (child := os.fork()) == 0:
            try:
                asyncio.run(run(place / "unbroken.db", doing, kill_at, counts, randomness))
            except BaseException:  # noqa: BLE001 - it must not come back to the loop
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))

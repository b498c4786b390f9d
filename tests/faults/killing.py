"""Calls that are killed with SIGKILL at each of their statements, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.flow import administer
from unbroken.flow.authenticate import NO_KEY, KeyCaller
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.store.sqlite import store
from unbroken.testing.in_process import START_MS

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from tests.faults.place import Place

    from unbroken.randomness import Randomness
    from unbroken.store.contract import Store, Transaction

VAULT = Vault(pepper=b"p" * 32, signing_key=b"s" * 32)
NOW_MS = START_MS + 10 * 86_400_000
KILLING_TIMEOUT_S = 900.0

Doing = Callable[[Context, KeyCaller], Awaitable[Any]]


Counts = Callable[[str], bool]
"""Whether to be killed where a statement begins."""


def any_statement(statement: str) -> bool:
    return True


async def open_context(place: Place, randomness: Randomness | None = None) -> Context:
    return context_on(await place.open(), randomness)


def context_on(opened: Store, randomness: Randomness | None = None) -> Context:
    log, clock = EmbeddedLog(opened), ManualClock(NOW_MS)
    chance = randomness or SystemRandomness()
    return Context(opened, log, clock, SystemClock(), chance, VAULT, Standings(), lab=True)


async def operator(context: Context) -> KeyCaller:
    """Who may do everything in the one app there is."""
    (app,) = await administer.list_apps(context)
    return KeyCaller(app, NO_KEY, frozenset(Scope), "operator")


async def nothing(_: Transaction) -> None:
    """A transaction without a statement."""


async def run(place: Place, doing: Doing, kill_at: int, counts: Counts, randomness: Randomness | None) -> None:
    seen, is_begun = 0, False

    def count(statement: str) -> None:
        nonlocal seen
        if is_begun and counts(statement):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    count_on_sqlite(count)
    count_on_postgres(count)
    context = await open_context(place, randomness)
    caller = await operator(context)
    await context.store.write(nothing)  # only then has the thread that writes said what it says once
    is_begun = True
    await doing(context, caller)


def count_on_sqlite(count: Callable[[str], None]) -> None:
    connect = store.connect

    def traced(path: Path, *, busy_timeout_s: float, writes: bool) -> sqlite3.Connection:
        connection = connect(path, busy_timeout_s=busy_timeout_s, writes=writes)
        if writes:
            connection.set_trace_callback(count)
        return connection

    store.connect = traced


def count_on_postgres(count: Callable[[str], None]) -> None:
    """Before a statement is sent, so that the server has done all those before it, and nothing of this one."""

    def counted(method: Any) -> Any:
        async def ask(connection: Any, statement: str, *values: Any, **how: Any) -> Any:
            count(statement)
            return await method(connection, statement, *values, **how)

        return ask

    for name in ("execute", "executemany", "fetch", "fetchval"):
        setattr(asyncpg.Connection, name, counted(getattr(asyncpg.Connection, name)))


def at_each_statement(
    built: Place, every: int, doing: Doing, counts: Counts = any_statement, randomness: Randomness | None = None
) -> None:
    """Kill the n-th run where the engine begins its n-th statement that counts, in a copy of `built` named `n`.

    Begin, commit and the emptying of SQLite's log or the writing anew of a file or table are statements too. The last
    run is not killed; it ends without closing anything. Ends this process, with that run's exit code.

    Args:
        every: that many statements further each time.
    """
    for number in range(1, 10_000):
        place = built.copy(f"{number:04}")
        if (child := os.fork()) == 0:
            try:
                asyncio.run(run(place, doing, number * every, counts, randomness))
            except BaseException:  # noqa: BLE001 - it must not come back to the loop
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


def killed(child: Path, built: Place, every: int, *words: str) -> list[Place]:
    """What `child`, which calls `at_each_statement`, has left; the last one is whole."""
    told = [sys.executable, str(child), *built.words, str(every), *words]
    environment = {**os.environ, "PYTHONPATH": str(child.parents[2])}
    done = subprocess.run(told, check=False, timeout=KILLING_TIMEOUT_S, env=environment)
    assert done.returncode == 0
    return [built.beside(path.name) for path in sorted(built.root.iterdir()) if path.name.isdigit()]

"""A server whose syncs are slower is slower by that, and commits what it always would."""

from __future__ import annotations

import time

import asyncpg
from bench.engines import slow_database

from unbroken.testing.postgres import run_apart

SYNC_MS = 40.0


async def _commit_ms(url):
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE t (n INT)")
        started_s = time.perf_counter()
        await connection.execute("INSERT INTO t VALUES (1)")
        took_ms = (time.perf_counter() - started_s) * 1000
        assert await connection.fetchval("SELECT count(*) FROM t") == 1
        return took_ms
    finally:
        await connection.close()


def test_a_commit_takes_as_much_longer_as_was_asked():
    with slow_database(SYNC_MS) as slow:
        assert run_apart(_commit_ms(slow.create("things"))) >= SYNC_MS

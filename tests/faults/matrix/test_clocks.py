"""A turned clock is read by Python, PostgreSQL and NATS alike, and the machine's own stays."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest
from tests.faults.matrix.clocks import HOUR_S, tree, turn

from unbroken.clock import SystemClock
from unbroken.testing.nats import NatsCluster
from unbroken.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable

_TURNS = [HOUR_S, -HOUR_S, 0]
_TELLS = "import time\nwhile True: input(); print(time.time(), time.monotonic(), flush=True)"


def ahead_s(told_s: float) -> int:
    return round(told_s - SystemClock().now_ms() / 1000)


def assert_turns(pid: int, told_s: Callable[[], float]) -> None:
    assert ahead_s(told_s()) == 0
    for seconds in _TURNS:
        turn(pid, seconds)
        assert ahead_s(told_s()) == seconds


def test_a_python_process_reads_the_turned_time_and_counts_seconds_as_before() -> None:
    with subprocess.Popen([sys.executable, "-c", _TELLS], stdin=-1, stdout=-1, stderr=-1, text=True) as process:

        def told() -> list[float]:
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            return [float(word) for word in process.stdout.readline().split()]

        before_s = told()[1]
        assert_turns(process.pid, lambda: told()[0])
        assert before_s <= told()[1] < before_s + 60
        process.kill()


def test_postgresql_reads_the_turned_time_in_old_and_new_sessions() -> None:
    with PostgresServer() as server, asyncio.Runner() as runner:
        old = runner.run(asyncpg.connect(server.url()))

        async def now_s(connection: asyncpg.Connection) -> float:
            return float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))

        async def new_s() -> float:
            connection = await asyncpg.connect(server.url())
            try:
                return await now_s(connection)
            finally:
                await connection.close()

        assert_turns(server.pid, lambda: runner.run(now_s(old)))
        assert_turns(server.pid, lambda: runner.run(new_s()))
        runner.run(old.close())


def test_nats_which_uses_no_c_library_reads_the_turned_time() -> None:
    with NatsCluster() as cluster:
        (server,) = cluster.servers

        def now_s() -> float:
            with urllib.request.urlopen(f"http://127.0.0.1:{server._monitor_port}/varz", timeout=30) as answer:
                return datetime.fromisoformat(json.load(answer)["now"]).timestamp()

        assert_turns(server.pid, now_s)


def test_a_process_that_is_not_there_cannot_be_turned() -> None:
    from tests.faults.matrix.clocks import CannotTurn

    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(CannotTurn, match="no process"):
        turn(process.pid, HOUR_S)


def test_a_process_that_ended_while_it_was_looked_for_has_started_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert tree(process.pid) == [process.pid]

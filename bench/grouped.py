"""The limit of an embedded engine: rows of an upload's size, 64 in a transaction, each commit synced; nothing else.

A process of its own, on the core of the application. It is told how long, a line on its standard input, and tells what
came of it, a line of JSON on its standard output.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from bench import load, machine
from bench.measure import Turn
from unbroken.randomness import SystemRandomness
from unbroken.testing.member import stop_process

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPED: Final = "SQLite, grouped inserts"
GROUP: Final = 64
_ROW_BYTES: Final = 1_500


@dataclass(slots=True)
class Grouped:
    """A side (`bench.measure`); clients are of no meaning to it."""

    process: subprocess.Popen[bytes]
    name: str = GROUPED

    def turn(self, seconds: float, clients: int) -> Turn:  # noqa: ARG002 - see the class
        """See `Side.turn`."""
        asked, told = self.process.stdin, self.process.stdout
        assert asked is not None
        assert told is not None
        asked.write(b"%f\n" % seconds)
        asked.flush()
        came: dict[str, Any] = json.loads(told.readline())
        # a row is there when its group is
        latencies_s = [latency for latency in came["groups_s"] for _ in range(GROUP)]
        return Turn(load.Load(came["wall_s"], 0.0, latencies_s, []), came["cpu_s"], 0.0)

    def halt(self) -> None:
        """Between its turns it waits for its next line."""

    def go_on(self) -> None:
        """See `halt`."""


@contextmanager
def grouped(core: int, directory: Path) -> Iterator[Grouped]:
    """The side; its file is below `directory`."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        words = [sys.executable, "-m", "bench.grouped", str(Path(place) / "rows.db")]
        with machine.pinned(core):
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            yield Grouped(process)
        finally:
            stop_process(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _serve(path: str, asked: IO[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        for line in asked:
            print(json.dumps(_insert(database, float(line))), flush=True)


def _insert(database: sqlite3.Connection, seconds: float) -> dict[str, Any]:
    chance = SystemRandomness()
    rows = [(chance.secret(_ROW_BYTES),) for _ in range(GROUP)]
    groups_s: list[float] = []
    started_s, cpu_s = time.perf_counter(), time.process_time()
    while (began_s := time.perf_counter()) < started_s + seconds:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO rows (body) VALUES (?)", rows)
        database.execute("COMMIT")
        groups_s.append(time.perf_counter() - began_s)
    return {
        "groups_s": sorted(groups_s),
        "wall_s": time.perf_counter() - started_s,
        "cpu_s": time.process_time() - cpu_s,
    }


if __name__ == "__main__":
    _serve(sys.argv[1], sys.stdin)

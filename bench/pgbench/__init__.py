"""PostgreSQL's own pgbench as a limit: the same work in plain statements, without an application in between."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from bench import load, machine
from bench.measure import Turn
from unbroken.testing.postgres import run_apart

if TYPE_CHECKING:
    from collections.abc import Callable

LINK: Final = "pgbench, five-statement link"
INSERT: Final = "pgbench, one-row insert"

_SCRIPTS: Final = {LINK: "link.sql", INSERT: "insert.sql"}
_HERE: Final = Path(__file__).parent
_TRIES: Final = 5  # where two links of one account lock each other out
_THREADS: Final = 2
_LEAST_S: Final = 2


def prepare(url: str) -> None:
    """Make the tables of the scripts in an empty database."""
    run_apart(_prepare(url))


async def _prepare(url: str) -> None:
    connection: Any = await asyncpg.connect(url)
    try:
        for statement in (_HERE / "schema.sql").read_text().strip().split(";\n"):
            await connection.execute(statement)
    finally:
        await connection.close()


@dataclass(slots=True)
class Script:
    """A side (`bench.measure`) that runs one script with so many clients.

    Args:
        name: one of the above.
        program: pgbench.
        behind_s: the CPU time of the database server so far.
    """

    name: str
    program: Path
    url: str
    behind_s: Callable[[], float]

    def turn(self, seconds: float, clients: int) -> Turn:
        """See `Side.turn`; pgbench counts in whole seconds, and connecting takes some of the first."""
        other_s, own_s = self.behind_s(), _children_s()
        with tempfile.TemporaryDirectory(prefix="unbroken-pgbench-") as directory, machine.unpinned():
            told = subprocess.run(
                [
                    str(self.program), "--no-vacuum", "--protocol=prepared", f"--client={clients}",
                    f"--jobs={_THREADS}", f"--time={max(_LEAST_S, round(seconds))}", f"--max-tries={_TRIES}",
                    f"--file={_HERE / _SCRIPTS[self.name]}", "--log", f"--log-prefix={directory}/log", self.url,
                ],
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            latencies_s = sorted(
                latency for log in Path(directory).glob("log.*") for latency in latencies(log.read_text())
            )
        done = load.Load(len(latencies_s) / (per_s(told) or 1.0), 0.0, latencies_s, [])
        return Turn(done, _children_s() - own_s, self.behind_s() - other_s)

    def halt(self) -> None:
        """Between its turns nothing of it runs."""

    def go_on(self) -> None:
        """See `halt`."""


def per_s(told: str) -> float:
    """Transactions a second from when all were connected, as pgbench tells at its end; 0 where it tells none."""
    lines = [line for line in told.splitlines() if line.startswith("tps = ")]
    return float(lines[0].split()[2]) if lines else 0.0


def latencies(log: str) -> list[float]:
    """Seconds of each transaction that was committed, of a log of pgbench."""
    found = [line.split()[2] for line in log.splitlines()]
    return [int(latency) / 1e6 for latency in found if latency.isdigit()]  # others: failed, skipped


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""What stands behind an application: nothing, a PostgreSQL server, or that and three NATS nodes; all on this machine.

The servers may use every core, as the application's own core and the load generator's are all there may be.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from bench import machine
from unbroken.testing.member import HERE, Site
from unbroken.testing.nats import NatsCluster
from unbroken.testing.postgres import PostgresServer, run_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES: Final = 3
_SHIM: Final = Path(__file__).with_name("slow_sync.c")
_STORE_BYTES: Final = 8 << 30
_STREAM_MIB: Final = 2048

SERVER_SETTINGS: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "max_connections": "300",
    "autovacuum": "on",
}
"""As an operator would set them; everything that makes a commit durable is on, as it is by default."""


class Database:
    """One PostgreSQL server, of which every application has a database of its own."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def create(self, name: str) -> str:
        """A new database; its URL."""
        run_apart(_tell(self._server.url(), f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
        return self._server.url(name)

    def cpu_s(self) -> float:
        """The CPU time of all its processes so far."""
        return machine.tree_cpu_s(self._server.pid)

    def program(self, name: str) -> Path:
        """One of PostgreSQL's own programs."""
        return self._server.programs / name

    def version(self) -> str:
        """Which PostgreSQL it is."""
        return str(run_apart(_tell(self._server.url(), "SHOW server_version")))


@contextmanager
def database() -> Iterator[Database]:
    """A server, thrown away at the end."""
    with machine.unpinned(), PostgresServer(HERE, **SERVER_SETTINGS) as server:
        yield Database(server)


@contextmanager
def slow_database(sync_ms: float) -> Iterator[Database]:
    """The same where every sync takes so much longer, by a library of ours loaded before the system's.

    Raises:
        NoCompiler: it cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="unbroken-shim-") as directory:
        library = _shim(Path(directory))
        slow = Site(environment={"LD_PRELOAD": str(library), "SLOW_SYNC_US": str(round(sync_ms * 1000))})
        with machine.unpinned(), PostgresServer(slow, **SERVER_SETTINGS) as server:
            yield Database(server)


class NoCompiler(RuntimeError):
    """There is no C compiler on this machine."""


def _shim(directory: Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompiler("Syncs cannot be made slower: there is neither gcc nor cc.")
    directory.chmod(0o755)  # the server runs as another account
    library = directory / "slow_sync.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SHIM), "-ldl"], check=True)
    return library


class Log:
    """Three NATS nodes that keep each record on all, each synced before it is acknowledged."""

    def __init__(self, cluster: NatsCluster) -> None:
        self._cluster = cluster

    @property
    def settings(self) -> dict[str, str]:
        """Of a platform that uses it."""
        replicas, size = str(NODES), str(_STREAM_MIB)
        return {"nats_url": self._cluster.url, "nats_replicas": replicas, "nats_max_mib": size}

    def cpu_s(self) -> float:
        """The CPU time of all nodes so far."""
        return sum(machine.cpu_s(node.pid) for node in self._cluster.servers)


@contextmanager
def log() -> Iterator[Log]:
    """A cluster, thrown away at the end."""
    with machine.unpinned(), NatsCluster(NODES, max_file_store=_STORE_BYTES) as cluster:
        yield Log(cluster)


async def _tell(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()

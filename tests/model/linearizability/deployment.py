"""Deployments: the platforms whose histories are judged, and what can be done to their processes."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.model.api import create_app

from unbroken.testing.postgres import PostgresServer
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.model.api import App

    from unbroken.testing.member import Member


class Victim(NamedTuple):
    """What can be hit by a fault.

    Args:
        name: of its kind.
        server: running.
    """

    name: str
    server: Member

    def kill_and_start(self) -> None:
        """SIGKILL, and the same again on the same port."""
        self.server.kill()
        self.server.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP: it takes connections, as the kernel does that, and answers nothing until it goes on."""
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()


class Deployment:
    """API processes in front of one database.

    Args:
        servers: the APIs, running; the first one's command line makes the app that all runs use.
        databases: those of their own that run as processes.
    """

    def __init__(self, servers: Sequence[PlatformProcess], databases: Sequence[PostgresServer] = ()) -> None:
        self.servers = servers
        self.victims = [*[Victim("an API", one) for one in servers], *[Victim("PostgreSQL", one) for one in databases]]
        self.app: App = create_app(servers[0], "all runs", link_burst="1000000")

    @property
    def base_urls(self) -> list[str]:
        return [server.base_url for server in self.servers]


@contextmanager
def one_api_on_sqlite(directory: Path) -> Iterator[Deployment]:
    """One process on a file of its own."""
    with PlatformProcess(directory / "data", lab=False) as server:
        yield Deployment([server])


@contextmanager
def two_apis_on_postgresql(directory: Path) -> Iterator[Deployment]:
    """Two processes, each with a data directory of its own that holds the same keys, on a server that is theirs."""
    other = directory / "other"
    with (
        PostgresServer() as database,
        PlatformProcess(directory / "data", lab=False, database_url=database.url()) as first,
    ):
        other.mkdir()
        for name in ("keys.json", "mode.json"):
            shutil.copy(first.data / name, other / name)
        with PlatformProcess(other, lab=False, database_url=database.url()) as second:
            yield Deployment([first, second], [database])


DEPLOYMENTS: Final[dict[str, Callable[[Path], AbstractContextManager[Deployment]]]] = {
    "one API on SQLite": one_api_on_sqlite,
    "two APIs on PostgreSQL": two_apis_on_postgresql,
}

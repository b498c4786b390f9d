"""Deployments: the platforms whose histories are judged, and what can be done to their processes."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.model.api import create_app

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.model.api import App


class Deployment:
    """API processes in front of one database.

    Args:
        servers: running, and started again after a kill; the first one's command line makes the apps.
    """

    def __init__(self, servers: Sequence[PlatformProcess]) -> None:
        self.servers = servers

    @property
    def base_urls(self) -> list[str]:
        return [server.base_url for server in self.servers]

    def new_app(self, name: str) -> App:
        return create_app(self.servers[0], name, link_burst="1000000")

    def kill_and_start(self, server: int) -> None:
        """SIGKILL, and the same again on the same port."""
        self.servers[server].kill()
        self.servers[server].start()

    @contextmanager
    def paused(self, server: int) -> Iterator[None]:
        """SIGSTOP: it takes connections, as the kernel does that, and answers nothing until it goes on."""
        pid = self.servers[server].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def one_api_on_sqlite(directory: Path, new_database: Callable[[], str]) -> Iterator[Deployment]:
    """One process on a file of its own."""
    with PlatformProcess(directory / "data", lab=False) as server:
        yield Deployment([server])


@contextmanager
def two_apis_on_postgresql(directory: Path, new_database: Callable[[], str]) -> Iterator[Deployment]:
    """Two processes on one database, each with a data directory of its own that holds the same keys."""
    database_url, other = new_database(), directory / "other"
    with PlatformProcess(directory / "data", lab=False, database_url=database_url) as first:
        other.mkdir()
        for name in ("keys.json", "mode.json"):
            shutil.copy(first.data / name, other / name)
        with PlatformProcess(other, lab=False, database_url=database_url) as second:
            yield Deployment([first, second])


DEPLOYMENTS: Final[dict[str, Callable[[Path, Callable[[], str]], AbstractContextManager[Deployment]]]] = {
    "one API on SQLite": one_api_on_sqlite,
    "two APIs on PostgreSQL": two_apis_on_postgresql,
}

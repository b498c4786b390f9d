"""One server, or two with data directories of their own on one database: whoever calls cannot tell."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from tests.model.api import App, Connection, create_app

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def one_or_two(directory: Path, database_url: str | None, **policy: str) -> Iterator[tuple[list[PlatformProcess], App]]:
    """Two where they have a database to share; with an app of this policy."""
    with ExitStack() as held:
        servers = [PlatformProcess(directory / "data", lab=False, database_url=database_url)]
        app = create_app(held.enter_context(servers[0]), "app", **policy)
        if database_url is not None:
            (directory / "other").mkdir()
            for name in ("keys.json", "mode.json"):
                shutil.copy(directory / "data" / name, directory / "other" / name)
            servers.append(PlatformProcess(directory / "other", lab=False, database_url=database_url))
            held.enter_context(servers[1])
        yield servers, app


def alarms_of(base_url: str, what: str) -> int:
    """How often a server counted an alarm, as its metrics page tells it."""
    with closing(Connection(base_url)) as connection:
        page = connection.call("GET", "/metrics").body.decode()
    (line,) = [line for line in page.splitlines() if line.startswith(f'unbroken_alarms_total{{what="{what}"}}')]
    return int(float(line.rpartition(" ")[2]))

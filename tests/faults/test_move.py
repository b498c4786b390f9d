"""A platform moves while devices and backends call it: all that was acknowledged is in the new place, nothing is told
twice, and the old place refuses.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.test_server_killed import Client, Round, compare_all, merged
from tests.model.api import DAY_MS, PHONE, Api, App, Connection, create_app

from unbroken.clock import SystemClock
from unbroken.testing.process import PlatformProcess, ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


CLIENTS = 6
CALLS = 120
WAIT_S = 120.0
MOVE_TIMEOUT_S = 300.0


@dataclass
class Place:
    """Where a platform is or is to be, with the data directory of its servers."""

    data: Path
    url: str | None

    @property
    def name(self) -> str:
        return self.url or str(self.data)

    def platform(self) -> PlatformProcess:
        return PlatformProcess(self.data, lab=False, database_url=self.url)


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, Place]:
    """Two of the engines that the test is for; servers on PostgreSQL go on with the data directory that they had."""
    engines = request.param.split(" to ")
    urls = [request.getfixturevalue("schemas").create() if engine == "postgres" else None for engine in engines]
    source = Place(tmp_path / "source", urls[0])
    return source, Place(source.data if urls[1] else tmp_path / "target", urls[1])


def each_way(test: Any) -> Any:
    ways = [f"{one} to {other}" for one in ("sqlite", "postgres") for other in ("sqlite", "postgres")]
    return pytest.mark.parametrize("places", ways, indirect=True)(test)


class MovedClient(Client):
    """Ends when it is refused, as its platform has moved."""

    def answer(self, call: Any) -> dict[str, Any]:
        reply = getattr(self, call.kind)(**call.fields)
        if reply.status == 503:
            raise ConnectionError(reply.json["message"])
        assert reply.status in {200, 201, 202}, f"{call.kind}: {reply}"
        told: dict[str, Any] = reply.json
        return told


class Eraser(MovedClient):
    """Lets people come, and erases them."""

    def one_life(self) -> None:
        told = self.call("register", key=self.key())
        self.call("upload", token=told["user_token"]["token"], times=[SystemClock().now_ms() - 9], key=self.key())
        self.call("erase", user_id=told["user_id"])

    def erase(self, user_id: str) -> Any:
        return self.api.erase(self.round.app.bearer, user_id)


def unbroken(data: Path, *words: str, environment: dict[str, str] | None = None) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "unbroken", *words, "--data", str(data), "--json"],
        capture_output=True,
        text=True,
        timeout=MOVE_TIMEOUT_S,
        check=False,
        env=environment,
    )
    return json.loads(done.stdout or done.stderr)


def move(source: Place, target: Place, *words: str) -> Any:
    return unbroken(source.data, "move", "--from", source.name, "--to", target.name, *words)


@each_way
def test_all_that_was_acknowledged_is_in_the_new_place(places: tuple[Place, Place]) -> None:
    source, target = places
    old = source.platform().start()
    try:
        app = create_app(old, "moving", link_burst="1000000")
        settled = Settled(old, app)
        clients, report = moved_under_load(old, app, lambda: move(source, target))
        assert report["last_round"] < report["rows"], report
        assert report["stood_still_s"] > 0
        assert_refuses(old, settled)
    finally:
        old.stop()
    assert_cannot_be_opened(source)
    assert "over already" in str(move(source, target)) or move(source, target)["was_done"]
    new = target.platform().start()
    try:
        clients = [finished(client, new) for client in clients]
        with closing(Connection(new.base_url)) as connection:
            compare_all(Api(connection, lab=False), app, merged(clients))
        assert settled.events(new) == settled.before
        assert settled.token_is_taken(new)
        assert new.command("verify")["findings"] == []
    finally:
        new.stop()


def moved_under_load(
    platform: PlatformProcess, app: App, move_now: Callable[[], Any]
) -> tuple[list[Client], dict[str, Any]]:
    round_ = Round(platform.base_url, app, 1)
    clients: list[Client] = [MovedClient(round_, place, []) for place in range(CLIENTS)]
    clients.append(Eraser(round_, CLIENTS, []))
    for client in clients:
        client.start()
    round_.await_count(CALLS)
    report = move_now()
    assert "rows" in report, report
    for client in clients:
        client.join(WAIT_S)
        assert not client.is_alive(), "a client is still answered"
        assert not client.wrong, client.wrong
        assert client.under_way is not None, "it ended by a refusal, in the middle of a call"
    return clients, report


def finished(client: Client, platform: PlatformProcess) -> Client:
    """What was under way, tried again in the new place with the same key; an erasure, a second time."""
    client.api = Api(Connection(platform.base_url), lab=False)
    assert client.under_way is not None
    if client.under_way.kind == "erase":
        assert client.erase(**client.under_way.fields).status in {200, 404, 410}  # type: ignore[attr-defined]
    elif not isinstance(client, Eraser):
        client.finish(client.under_way)
    client.api.connection.close()
    return client


class Settled:
    """A person of whom everything is processed before the move."""

    def __init__(self, platform: PlatformProcess, app: App) -> None:
        self.app = app
        with closing(Connection(platform.base_url)) as connection:
            api = Api(connection, lab=False)
            told = api.register(app.basic, PHONE).json
            self.user_id, self.token = told["user_id"], told["user_token"]["token"]
            self.now_ms = SystemClock().now_ms()
            items = [{"kind": "location", "t": self.now_ms, "lat": 52.5, "lon": 13.4, "acc": 10}]
            assert api.upload(self.token, self.now_ms, [("019ab3f0-6f00-7000-8000-0123456789ab", items)]).status == 202
            pause = threading.Event()
            while b"Stationary" not in self.events(platform):
                assert SystemClock().now_ms() < self.now_ms + WAIT_S * 1000
                pause.wait(0.05)
        self.before = self.events(platform)

    def events(self, platform: PlatformProcess) -> bytes:
        with closing(Connection(platform.base_url)) as connection:
            api = Api(connection, lab=False)
            reply = api.events(self.app.bearer, self.user_id, self.now_ms - DAY_MS, self.now_ms)
            assert reply.status == 200, reply
            return reply.body

    def token_is_taken(self, platform: PlatformProcess) -> bool:
        with closing(Connection(platform.base_url)) as connection:
            return Api(connection, lab=False).own_state(self.token).status == 200


def assert_refuses(platform: PlatformProcess, settled: Settled) -> None:
    """Reads and writes, of devices and of backends, and what an orchestrator asks."""
    with closing(Connection(platform.base_url)) as connection:
        api = Api(connection, lab=False)
        now_ms = SystemClock().now_ms()
        item = {"kind": "location", "t": now_ms, "lat": 52.5, "lon": 13.4}
        replies = [
            api.profile(settled.app.bearer, settled.user_id),
            api.own_state(settled.token),
            api.register(settled.app.basic, PHONE),
            api.upload(settled.token, now_ms, [("019ab3f0-6f00-7000-8000-0123456789ac", [item])]),
        ]
        for reply in replies:
            assert (reply.status, reply.code) == (503, "UNAVAILABLE"), reply
            assert "moved to another database" in reply.json["message"]
        assert connection.call("GET", "/health/ready").status == 503


def assert_cannot_be_opened(source: Place) -> None:
    with pytest.raises(ProcessFailed, match="moved away from"):
        source.platform().command("app", "list")
    with pytest.raises(ProcessFailed, match="moved away from"):
        source.platform().start()

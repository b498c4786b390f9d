"""The server is killed with SIGKILL under load; whatever it acknowledged is there after the restart.

The state that must be left: every acknowledged registration, link and item is served again; each external id has one
user, each user at most one open activation. A call that was under way may have happened or not; its client tries it
again with the same key after the restart, and that must end well, too.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random  # noqa: TID251 - seeded, so that the same load can be made again
from typing import TYPE_CHECKING, Any

import pytest
from tests.engines import CLUSTER, POSTGRES, SQLITE, Engine
from tests.model.api import DAY_MS, PHONE, Api, App, Connection, create_app, from_iso, random_uuid

from unbroken.clock import SystemClock
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 32
PEOPLE = 12
FEW = {SQLITE: 3, POSTGRES: 2, CLUSTER: 2}
MANY = {SQLITE: 50, POSTGRES: 20, CLUSTER: 20}
WAIT_S = 60.0
POLL_S = 0.05


@dataclass
class Acknowledged:
    """What the platform has promised to one client."""

    installs: dict[str, str] = field(default_factory=dict)  # install id -> user id it was told
    links: dict[str, tuple[str, str]] = field(default_factory=dict)  # install id -> external id, user id
    items: dict[str, list[int]] = field(default_factory=dict)  # install id -> the capture times of its items


class Client(threading.Thread):
    """One customer's device and backend in turn, until the connection breaks."""

    def __init__(self, round_: Round, number: int, unsure: list[Call]) -> None:
        super().__init__(daemon=True)
        self.api = Api(Connection(round_.base_url), lab=False)
        self.round = round_
        self.random = Random(round_.number * 1000 + number)
        self.name = f"{round_.number}-{number}"
        self.calls = 0
        self.mine = Acknowledged()
        self.under_way: Call | None = None
        self.unsure = unsure
        self.wrong: list[str] = []

    def run(self) -> None:
        try:
            for call in self.unsure:
                self.finish(call)
            while not self.round.over.is_set():
                self.one_life()
        except ConnectionError:
            pass
        except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
            self.wrong.append(repr(error))
        finally:
            self.api.connection.close()

    def finish(self, call: Call) -> None:
        """What was under way when the server died, once more."""
        told = self.answer(call)
        if call.kind == "register":
            self.mine.installs[told["install_id"]] = told["user_id"]
        if call.kind == "link":
            self.mine.links[call.fields["install"]] = call.fields["person"], told["id"]

    def one_life(self) -> None:
        """Register, be linked, upload some times."""
        told = self.call("register", key=self.key())
        install, token = told["install_id"], told["user_token"]["token"]
        self.mine.installs[install] = told["user_id"]
        if self.random.random() < 0.8:
            person = f"person-{self.round.number}-{self.random.randrange(PEOPLE)}"
            linked = self.call("link", install=install, person=person, key=self.key())
            self.mine.links[install] = person, linked["id"]
        for _ in range(self.random.randrange(4)):
            begin = SystemClock().now_ms() - 50
            times = [begin + place for place in range(self.random.randrange(1, 12))]
            self.call("upload", token=token, times=times, key=self.key())
            self.mine.items.setdefault(install, []).extend(times)

    def key(self) -> str:
        self.calls += 1
        return random_uuid(self.name, self.calls)

    def call(self, kind: str, **fields: Any) -> dict[str, Any]:
        call = Call(kind, fields)
        self.under_way = call
        told = self.answer(call)
        self.under_way = None
        self.round.acknowledge()
        return told

    def answer(self, call: Call) -> dict[str, Any]:
        reply = getattr(self, call.kind)(**call.fields)
        assert reply.status in {200, 201, 202}, f"{call.kind}: {reply}"
        told: dict[str, Any] = reply.json
        return told

    def register(self, key: str) -> Any:
        return self.api.register(self.round.app.basic, PHONE, key=key)

    def link(self, install: str, person: str, key: str) -> Any:
        return self.api.link(self.round.app.bearer, install, person, key=key)

    def upload(self, token: str, times: list[int], key: str) -> Any:
        items = [{"kind": "location", "t": t, "lat": 52.5 + place / 1e5, "lon": 13.4} for place, t in enumerate(times)]
        return self.api.upload(token, SystemClock().now_ms(), [(key, items)])


@dataclass(frozen=True)
class Call:
    """A call with everything that is needed to make it again."""

    kind: str
    fields: dict[str, Any]


class Round:
    """The load between a start and the next kill."""

    def __init__(self, base_url: str, app: App, number: int) -> None:
        self.base_url, self.app, self.number = base_url, app, number
        self.over = threading.Event()
        self._count = 0
        self._changed = threading.Condition()

    def acknowledge(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def await_count(self, count: int) -> int:
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= count, WAIT_S), f"only {self._count} calls were done"
            return self._count


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path, engine: Engine) -> None:
    kill_under_load(tmp_path, engine, FEW[engine.name])


@pytest.mark.prove
def test_nothing_acknowledged_is_lost_in_many_kills(tmp_path: Path, engine: Engine) -> None:
    print("\n" + kill_under_load(tmp_path, engine, engine.count("UNBROKEN_KILLS", MANY)))


def kill_under_load(tmp_path: Path, engine: Engine, kills: int) -> str:
    random, total = Random(kills), Acknowledged()
    unsure: list[list[Call]] = [[] for _ in range(CLIENTS)]
    platform = PlatformProcess(tmp_path / "data", lab=False, settings=engine.place()).start()
    try:
        app = create_app(platform, "killed", link_burst="1000000")
        for number in range(kills):
            clients = one_round(platform, app, number, random.randrange(50, 800), unsure)
            unsure = [[client.under_way] if client.under_way is not None else [] for client in clients]
            platform.start()
            mine = merged(clients)
            compare(platform, app, mine)
            add(total, mine)
        compare(platform, app, total)
    finally:
        platform.stop()
    items = sum(map(len, total.items.values()))
    told = f"{len(total.installs)} installs, {len(total.links)} links, {items} items, all there"
    return f"{engine.name}, {kills} kills: {told}"


def one_round(platform: PlatformProcess, app: App, number: int, calls: int, unsure: list[list[Call]]) -> list[Client]:
    """Load from 32 clients until `calls` calls are acknowledged, then SIGKILL."""
    round_ = Round(platform.base_url, app, number)
    clients = [Client(round_, place, unsure[place]) for place in range(CLIENTS)]
    for client in clients:
        client.start()
    round_.await_count(calls)
    platform.kill()
    round_.over.set()
    for client in clients:
        client.join(WAIT_S)
        assert not client.is_alive(), "a client hangs on a server that is dead"
        assert not client.wrong, client.wrong
    return clients


def merged(clients: list[Client]) -> Acknowledged:
    whole = Acknowledged()
    for client in clients:
        add(whole, client.mine)
    return whole


def add(whole: Acknowledged, more: Acknowledged) -> None:
    whole.installs |= more.installs
    whole.links |= more.links
    for install, times in more.items.items():
        whole.items.setdefault(install, []).extend(times)


def compare(platform: PlatformProcess, app: App, promised: Acknowledged) -> None:
    with closing(Connection(platform.base_url)) as connection:
        compare_all(Api(connection, lab=False), app, promised)


def compare_all(api: Api, app: App, promised: Acknowledged) -> None:
    users: dict[str, str] = {}
    for person, user_id in promised.links.values():
        assert users.setdefault(person, user_id) == user_id, f"{person} was told to be two users"
    for person, user_id in users.items():
        assert api.find(app.bearer, person).json["id"] == user_id, person
    compare_installs(api, app, promised)
    compare_items(api, app, promised)


def compare_installs(api: Api, app: App, promised: Acknowledged) -> None:
    seen: dict[str, list[dict[str, Any]]] = {}
    for install, told in promised.installs.items():
        user_id = promised.links[install][1] if install in promised.links else told
        if user_id not in seen:
            reply = api.installs(app.bearer, user_id)
            assert reply.status == 200, (user_id, reply)
            seen[user_id] = api.whole_list(app.bearer, f"/v3/users/{user_id}/installs", "installs", limit=1000)
            assert_one_active(seen[user_id])
        view = next((view for view in seen[user_id] if view["install_id"] == install), None)
        assert view is not None, f"install {install} is not with user {user_id}"
        assert view["link_id"] or install not in promised.links, f"the link of {install} is lost"


def assert_one_active(views: list[dict[str, Any]]) -> None:
    parts = [part for view in views for part in view["activations"]]
    assert len([part for part in parts if part["to"] is None]) <= 1, parts
    assert len([view for view in views if view["state"] == "active"]) <= 1, views
    ends = sorted((from_iso(part["from"]), from_iso(part["to"] or "9999-01-01T00:00:00+00:00")) for part in parts)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends)), parts


def compare_items(api: Api, app: App, promised: Acknowledged) -> None:
    """Items are judged after the reply: wait until each acknowledged one is there."""
    pause, deadline = threading.Event(), SystemClock().now_ms() + int(WAIT_S * 1000)
    waiting: dict[str, dict[str, list[int]]] = {}
    for install, times in promised.items.items():
        owner = promised.links.get(install, ("", promised.installs[install]))[1]
        waiting.setdefault(owner, {})[install] = times
    for user_id, wanted in waiting.items():
        while missing := missing_of(wanted, items_by_install(api, app, user_id)):
            assert SystemClock().now_ms() < deadline, f"acknowledged items are lost: {missing}"
            pause.wait(POLL_S)


def missing_of(wanted: dict[str, list[int]], kept: dict[str, set[int]]) -> dict[str, set[int]]:
    lost = {install: set(times) - kept.get(install, set()) for install, times in wanted.items()}
    return {install: times for install, times in lost.items() if times}


def items_by_install(api: Api, app: App, user_id: str) -> dict[str, set[int]]:
    now_ms = SystemClock().now_ms()
    found: dict[str, set[int]] = {}
    for view in api.items(app.bearer, user_id, now_ms - DAY_MS, now_ms + DAY_MS):
        found.setdefault(view["install_id"], set()).add(from_iso(view["captured_at"]))
    return found

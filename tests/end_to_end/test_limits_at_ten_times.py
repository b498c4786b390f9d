"""A key, an install, an address and an app, each far over its own limit at once: each gets its limit, others theirs.

On one server with SQLite, and on two with PostgreSQL. This machine is their proxy, so that callers come from elsewhere.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from tests.model.api import Connection, bearer, create_app

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.testing.postgres import Schemas

KEY, INSTALL, ADDRESS, APP = 240, 240, 360, 480  # calls a minute
LIMITS = {
    "limit_key": str(KEY), "limit_install": str(INSTALL), "limit_address": str(ADDRESS), "limit_app": str(APP),
    "trusted_proxies": "127.0.0.1",
}  # fmt: skip
SETTLED_S, MEASURED_S = 20.0, 60.0
TEN_TIMES = 10
QUOTA = 200

pytestmark = pytest.mark.counts_requests("rates and quotas are what it measures")


@dataclass
class Caller:
    """Somebody who asks so often a second, with his credentials and from his addresses in turn."""

    name: str
    per_minute: int
    path: str
    from_each: list[tuple[str, str]]
    times: int = TEN_TIMES
    statuses: Counter[int] = field(default_factory=Counter)

    def call(self, urls: list[str], begins_s: float, until_s: float) -> None:
        """Until the end; what is answered is counted once the bursts are over."""
        with ExitStack() as held:
            servers = cycle([held.enter_context(closing(Connection(url))) for url in urls])
            pause_s, at_s = 60 / (self.per_minute * self.times), time.monotonic()
            for authorization, address in cycle(self.from_each):
                at_s = max(at_s + pause_s, time.monotonic() - 1.0)  # who was held up catches up a second's calls
                wait_for(at_s)
                if time.monotonic() >= until_s:
                    return
                headers = {"Authorization": authorization, "X-Forwarded-For": address}
                reply = next(servers).call("GET", self.path, headers=headers)
                if time.monotonic() >= begins_s:
                    self.statuses[reply.status] += 1


def wait_for(at_s: float) -> None:
    threading.Event().wait(max(0.0, at_s - time.monotonic()))


def shop(server: PlatformProcess, name: str, phones: int) -> tuple[str, list[str]]:
    """The key of a new app, and the tokens of its phones."""
    app = create_app(server, name)
    with closing(Connection(server.base_url)) as connection:
        body = b'{"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}'
        replies = [connection.call("POST", "/sdk/installs", body, {"Authorization": app.basic}) for _ in range(phones)]
    return app.bearer, [bearer(reply.json["user_token"]["token"]) for reply in replies]


def callers_of(server: PlatformProcess) -> tuple[list[Caller], list[Caller]]:
    """Those who ask ten times too often, and those who ask half as often as they may beside them."""
    key, _ = shop(server, "by key", 0)
    _, one = shop(server, "by install", 1)
    _, behind = shop(server, "by address", 4)
    _, many = shop(server, "by app", 4)
    calm_key, calm_phones = shop(server, "calm", 1)
    found, own = "/v3/users?external_id=nobody", "/sdk/install"
    flooding = [
        Caller("key", KEY, found, [(key, "203.0.113.1")]),
        Caller("install", INSTALL, own, [(one[0], "203.0.113.2")]),
        Caller("address", ADDRESS, own, [(token, "203.0.113.3") for token in behind]),
        Caller("app", APP, own, [(token, f"203.0.113.{10 + place}") for place, token in enumerate(many)]),
    ]
    calm = [
        Caller("calm key", KEY // 2, found, [(calm_key, "203.0.113.1")], times=1),
        Caller("calm install", INSTALL // 2, own, [(calm_phones[0], "203.0.113.3")], times=1),
    ]
    return flooding, calm


def at_ten_times(servers: list[PlatformProcess]) -> None:
    flooding, calm = callers_of(servers[0])
    begins_s = time.monotonic() + SETTLED_S
    everybody, urls = [*flooding, *calm], [server.base_url for server in servers]
    with ThreadPoolExecutor(len(everybody)) as pool:
        list(pool.map(lambda caller: caller.call(urls, begins_s, begins_s + MEASURED_S), everybody))
    for caller in flooding:
        asked = caller.statuses.total()
        through = asked - caller.statuses[429]
        print(f"\n{caller.name}: {through} of {asked} were let through, {caller.per_minute} are allowed")
        assert asked > 2 * caller.per_minute, "this machine cannot ask too often"
        assert through == pytest.approx(caller.per_minute, rel=0.05)
    for caller in calm:
        assert caller.statuses[429] == 0
        assert caller.statuses.total() > 0.9 * caller.per_minute


def two(tmp_path: Path, schemas: Schemas, settings: dict[str, str]) -> list[PlatformProcess]:
    url = schemas.create()
    servers = [
        PlatformProcess(tmp_path / name, lab=False, database_url=url, settings=settings) for name in ("first", "second")
    ]
    servers[0].start()
    servers[1].data.mkdir(mode=0o700)
    for name in ("keys.json", "mode.json"):
        shutil.copy(servers[0].data / name, servers[1].data)
    return servers


@pytest.mark.prove
def test_every_caller_at_ten_times_its_limit_gets_its_limit_and_others_notice_nothing(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "data", lab=False, settings=LIMITS) as server:
        at_ten_times([server])


@pytest.mark.prove
def test_two_servers_give_every_caller_at_ten_times_its_limit_that_limit_together(
    tmp_path: Path, schemas: Schemas
) -> None:
    first, second = two(tmp_path, schemas, LIMITS)
    with first, second:
        at_ten_times([first, second])


def spent(servers: list[PlatformProcess], key: str, calls: int) -> Counter[int]:
    """The replies to so many calls, to the servers in turn."""
    with ExitStack() as held:
        turns = cycle([held.enter_context(closing(Connection(server.base_url))) for server in servers])
        headers = {"Authorization": key, "X-Forwarded-For": "203.0.113.9"}
        path = "/v3/users?external_id=nobody"
        return Counter(next(turns).call("GET", path, headers=headers).status for _ in range(calls))


def a_day_is_used_up(servers: list[PlatformProcess], most: int) -> None:
    """By ten times as many calls, and once more after all servers were started anew; another key has its own day."""
    flooding, calm = (create_app(servers[0], name).bearer for name in ("flooding", "calm"))
    through, until_s = 0, time.monotonic() + 120
    while through < QUOTA and time.monotonic() < until_s:
        through += spent(servers, flooding, QUOTA // 10)[404]
    assert QUOTA <= through <= most
    for server in servers:
        server.stop()
        server.start()
    assert spent(servers, flooding, QUOTA)[404] <= most - through
    assert spent(servers, calm, 10) == Counter({404: 10})


def test_a_key_that_has_used_up_its_day_waits_also_where_the_server_was_started_anew(tmp_path: Path) -> None:
    settings = {"quota_key": str(QUOTA), "trusted_proxies": "127.0.0.1"}
    with PlatformProcess(tmp_path / "data", lab=False, settings=settings) as server:
        a_day_is_used_up([server], QUOTA)


def test_two_servers_give_a_key_one_day_together(tmp_path: Path, schemas: Schemas) -> None:
    servers = two(tmp_path, schemas, {"quota_key": str(QUOTA), "trusted_proxies": "127.0.0.1"})
    with servers[0], servers[1]:
        a_day_is_used_up(servers, QUOTA + 2 * 10)

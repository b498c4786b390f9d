"""Two API processes on one database: a key that calls both gets one rate, and another key its own."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from contextlib import ExitStack
from itertools import cycle

import httpx
import pytest

from unbroken.testing.process import PlatformProcess

PER_MINUTE = 600
MEASURED_S = 8.0
CALLER = "203.0.113.7"


@pytest.fixture
def apis(tmp_path, schemas):
    """Two of them; this machine is their proxy, so that a caller can come from elsewhere."""
    settings = {"trusted_proxies": "127.0.0.1", "limit_key": str(PER_MINUTE), "role": "api"}
    places = [tmp_path / "first", tmp_path / "second"]
    url = schemas.create()
    with ExitStack() as stack:
        first = stack.enter_context(PlatformProcess(places[0], lab=False, database_url=url, settings=settings))
        places[1].mkdir(mode=0o700)
        for name in ("keys.json", "mode.json"):
            shutil.copy(places[0] / name, places[1])
        yield first, stack.enter_context(PlatformProcess(places[1], lab=False, database_url=url, settings=settings))


def key_of_a_new_app(platform):
    app = platform.command("app", "create", "Shop")["app_id"]
    return platform.command("key", "create", "--app", app, "--name", "n", "--scope", "user.read")["api_key"]


def flooded(clients, key, seconds):
    """The replies to as many calls as can be made, one process after the other."""
    statuses = Counter()
    until = time.monotonic() + seconds
    for client in cycle(clients):
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": CALLER}
        statuses[client.get("/v3/users?external_id=a", headers=headers).status_code] += 1
        if time.monotonic() >= until:
            return statuses
    raise AssertionError("there is always a next client")


@pytest.mark.counts_requests("a rate is what it measures")
def test_two_processes_give_a_key_one_rate_together(apis):
    flooding, calm = key_of_a_new_app(apis[0]), key_of_a_new_app(apis[0])
    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=api.base_url)) for api in apis]
        flooded(clients, flooding, 12.0)  # until the burst that each allowed is paid off
        statuses = flooded(clients, flooding, MEASURED_S)
        allowed = PER_MINUTE * MEASURED_S / 60
        assert sum(statuses.values()) > 2 * allowed, "this machine cannot ask too often"
        assert statuses[404] == pytest.approx(
            allowed, rel=0.25
        )  # they tell each other once a second: 1 in 12 at an end
        for client in clients:
            reply = client.get(
                "/v3/users?external_id=a", headers={"Authorization": f"Bearer {calm}", "X-Forwarded-For": CALLER}
            )
            assert reply.status_code == 404
    assert set(statuses) == {404, 429}

"""Whether somebody is of another app or of nobody cannot be told by a clock either."""

from __future__ import annotations

import http.client
import time
from contextlib import closing
from itertools import cycle, islice

import httpx
import pytest

from unbroken.testing.process import PlatformProcess

PAIRS = 3_000
FARTHEST = 0.03
PHONE = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
UNKNOWN = "69236a2e5f3c1b0a9d8e7f60"
FOREIGN = 40
PATHS = ("/v2/users/{user_id}", "/v3/users/{user_id}/ledger", "/v3/installs/{install_id}/explain")


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with PlatformProcess(tmp_path_factory.mktemp("times") / "data", lab=False) as running:
        yield running


@pytest.fixture(scope="module")
def key(platform):
    app = platform.command("app", "create", "mine")["app_id"]
    scopes = ["--scope", "user.read"]
    return platform.command("key", "create", "--app", app, "--name", "n", *scopes)["api_key"]


@pytest.fixture(scope="module")
def theirs(platform):
    """Installs of another app."""
    app = platform.command("app", "create", "theirs")
    with httpx.Client(base_url=platform.base_url, auth=(app["app_id"], app["app_secret"])) as client:
        return [client.post("/sdk/installs", json=PHONE).json() for _ in range(FOREIGN)]


def area_under_curve(some, others):
    """How often one of `some` took longer than one of `others`: one half where nothing tells them apart."""
    ranked = sorted([(duration, True) for duration in some] + [(duration, False) for duration in others])
    ranks = sum(rank for rank, (_, is_of_some) in enumerate(ranked, 1) if is_of_some)
    return (ranks - len(some) * (len(some) + 1) / 2) / (len(some) * len(others))


def test_the_area_tells_what_differs_from_what_does_not():
    assert area_under_curve([1, 4], [2, 3]) == 0.5
    assert area_under_curve([5, 6], [1, 2]) == 1.0


@pytest.mark.prove
@pytest.mark.parametrize("path", PATHS)
def test_foreign_and_unknown_ids_take_equally_long(platform, key, theirs, path):
    unknown = [UNKNOWN[:-4] + f"{number:04x}" for number in range(FOREIGN)]
    foreign_s, unknown_s = [], []
    port = int(platform.base_url.rsplit(":", 1)[1])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:

        def taken_s(user_id, install_id):
            at = path.format(user_id=user_id, install_id=install_id)
            began = time.perf_counter()
            connection.request("GET", at, headers={"Authorization": f"Bearer {key}"})
            reply = connection.getresponse()
            reply.read()
            assert reply.status == 404
            return time.perf_counter() - began

        pairs = islice(zip(cycle(theirs), cycle(unknown), strict=False), PAIRS)
        for number, (known, other) in enumerate(pairs):
            turns = [(foreign_s, known["user_id"], known["install_id"]), (unknown_s, other, other)]
            for durations, user_id, install_id in turns if number % 2 else reversed(turns):
                durations.append(taken_s(user_id, install_id))
    assert area_under_curve(foreign_s, unknown_s) == pytest.approx(0.5, abs=FARTHEST)

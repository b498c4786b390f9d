"""Whether somebody is of another app or of nobody cannot be told by a clock either."""

from __future__ import annotations

import http.client
import time
from contextlib import closing
from itertools import cycle, islice

import httpx
import pytest
from tests.engines import POSTGRES, SQLITE

from unbroken.credentials import SECRET_BYTES, Kind, read_opaque, write_opaque
from unbroken.testing.process import PlatformProcess

PAIRS = 3_000
FARTHEST = 0.03
PHONE = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
UNKNOWN = "69236a2e5f3c1b0a9d8e7f60"
FOREIGN = 40
ROUTES = (
    ("GET", "/v2/users/{user_id}"),
    ("GET", "/v2/users/{user_id}/location"),
    ("GET", "/v3/users/{user_id}/ledger"),
    ("GET", "/v3/users/{user_id}/installs"),
    ("GET", "/v3/users/{user_id}/export"),
    ("GET", "/v3/installs/{install_id}/explain"),
    ("POST", "/v3/installs/{install_id}/activate?dry_run=true"),
)


@pytest.fixture(scope="module", params=[SQLITE, POSTGRES])
def platform(tmp_path_factory, request):
    url = request.getfixturevalue("schemas").create() if request.param == POSTGRES else None
    with PlatformProcess(tmp_path_factory.mktemp("times") / "data", lab=False, database_url=url) as running:
        yield running


@pytest.fixture(scope="module")
def key(platform):
    app = platform.command("app", "create", "mine")["app_id"]
    scopes = ["--scope", "user.read", "--scope", "user.manage"]
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


def chance_to_tell(platform, status, request_of, some, others):
    """The area under curve of `PAIRS` requests for one of `some`, and for one of `others`, in turns."""
    some_s, others_s = [], []
    port = int(platform.base_url.rsplit(":", 1)[1])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:

        def taken_s(about):
            method, path, key = request_of(about)
            began = time.perf_counter()
            connection.request(method, path, headers={"Authorization": f"Bearer {key}"})
            reply = connection.getresponse()
            reply.read()
            assert reply.status == status
            return time.perf_counter() - began

        for number, (one, other) in enumerate(islice(zip(cycle(some), cycle(others), strict=False), PAIRS)):
            turns = [(some_s, one), (others_s, other)]
            for durations, about in turns if number % 2 else reversed(turns):
                durations.append(taken_s(about))
    return area_under_curve(some_s, others_s)


@pytest.mark.prove
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_foreign_and_unknown_ids_take_equally_long(platform, key, theirs, method, path):
    unknown = [dict.fromkeys(("user_id", "install_id"), UNKNOWN[:-4] + f"{number:04x}") for number in range(FOREIGN)]
    area = chance_to_tell(platform, 404, lambda ids: (method, path.format(**ids), key), theirs, unknown)
    print(f"\n{method} {path}: AUC {area:.3f} of {PAIRS} pairs")
    assert area == pytest.approx(0.5, abs=FARTHEST)


@pytest.mark.prove
def test_a_wrong_secret_takes_equally_long_whether_its_id_is_that_of_a_key(platform, key):
    known = read_opaque(key).subject
    wrong = [write_opaque(Kind.API_KEY, known, bytes([number]) * SECRET_BYTES) for number in range(FOREIGN)]
    of_nobody = [
        write_opaque(Kind.API_KEY, known[:-1] + bytes([known[-1] ^ 255]), bytes([number]) * SECRET_BYTES)
        for number in range(FOREIGN)
    ]
    area = chance_to_tell(platform, 401, lambda text: ("GET", f"/v2/users/{UNKNOWN}", text), wrong, of_nobody)
    print(f"\na key's id and nobody's: AUC {area:.3f} of {PAIRS} pairs")
    assert area == pytest.approx(0.5, abs=FARTHEST)

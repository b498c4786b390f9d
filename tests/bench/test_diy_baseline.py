"""The do-it-yourself baseline does what it is compared for, sent the requests that the platform gets."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from contextlib import contextmanager

import httpx
import pytest

from bench import calls, load
from unbroken.clock import SystemClock
from unbroken.testing.postgres import PostgresServer
from unbroken.testing.process import await_ready, free_port, stop_process

NOW_MS = SystemClock().now_ms()


class Baseline:
    """The server, and what it told of its app."""

    def __init__(self, port, told):
        self.port = port
        self.app = json.loads(told)
        pair = f"{self.app['app_id']}:{self.app['app_secret']}".encode()
        self.basic, self.bearer = "Basic " + b64encode(pair).decode(), calls.bearer(self.app["api_key"])
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    def register(self, count=1):
        requests = calls.registrations(self.app["app_id"], self.app["app_secret"], count, NOW_MS)
        return [json.loads(reply) for reply in self.send(requests, 201)]

    def send(self, requests, status):
        return load.run(self.port, requests, status, seconds=60, keep=True, clients=4).replies

    def upload(self, install, body=None):
        body = body or calls.upload_body(calls.walk(NOW_MS - calls.STRETCH_MS), NOW_MS)
        headers = {"Authorization": calls.bearer(install["user_token"]["token"])}
        return self.http.post("/sdk/payloads", content=body, headers=headers | {"Content-Type": "application/json"})

    def link(self, install, account):
        path = f"/v2/users/{install['install_id']}/link"
        return self.http.post(path, json={"external_id": account}, headers={"Authorization": self.bearer})

    def day(self, user_id):
        from unbroken import wire

        day = wire.iso(NOW_MS - calls.STRETCH_MS)[:10]
        path = f"/v2/users/{user_id}/events?from={day}&to={day}"
        return self.http.get(path, headers={"Authorization": self.bearer})


@contextmanager
def serving(url):
    port = free_port()
    words = [sys.executable, "-m", "bench.baselines.diy", str(port), url]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert await_ready(process, port, 60)
        baseline = Baseline(port, process.stdout.readline())
        with baseline.http:
            yield baseline
    finally:
        stop_process(process)
        process.stdout.close()


@pytest.fixture(scope="module")
def baseline():
    with PostgresServer() as server, serving(server.url()) as started:
        yield started


def test_it_answers_the_requests_of_the_benchmark(baseline):
    installs = baseline.register(20)
    links = calls.links(baseline.app["api_key"], [install["install_id"] for install in installs], NOW_MS)
    told = [json.loads(reply) for reply in baseline.send(links, 200)]
    assert len({one["id"] for one in told}) == 10


def test_a_person_has_one_active_install(baseline):
    first, second = baseline.register(2)
    assert baseline.link(first, "anna").status_code == 200
    assert baseline.link(second, "anna").json()["id"] == first["user_id"]
    assert baseline.upload(first).status_code == 403
    assert baseline.upload(second).status_code == 202


def test_an_install_of_one_account_is_not_linked_to_another(baseline):
    (install,) = baseline.register()
    assert baseline.link(install, "ben").status_code == 200
    assert baseline.link(install, "carl").status_code == 403
    assert baseline.link(install, "ben").status_code == 200


def test_a_payload_that_comes_twice_is_read_once(baseline):
    (install,) = baseline.register()
    body = calls.upload_body(calls.walk(NOW_MS - calls.STRETCH_MS), NOW_MS)
    assert [baseline.upload(install, body).status_code for _ in range(2)] == [202, 202]
    (read,) = baseline.day(install["user_id"]).json()
    assert len(read["items"]) == calls.FIXES


def test_nobody_gets_in_without_a_credential(baseline):
    (install,) = baseline.register()
    wrong = {"user_token": {"token": "wrong"}}
    assert baseline.upload(wrong).status_code == 401
    baseline.bearer = calls.bearer("wrong")
    assert baseline.link(install, "dora").status_code == 401
    baseline.bearer = calls.bearer(baseline.app["api_key"])

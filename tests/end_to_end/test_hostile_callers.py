"""Callers that want the platform to stop, on the real server: a large object, and replies that nobody takes."""

from __future__ import annotations

import base64
import http.client
import socket
import time
from contextlib import ExitStack

import pytest
import zstandard

from unbroken.testing.process import PlatformProcess

IN_TIME_S = 10.0
CALLERS = 40
UNREAD = b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60


@pytest.fixture
def platform(tmp_path, monkeypatch):
    for name in ("HEAD_TIMEOUT_S", "BODY_TIMEOUT_S", "REPLY_TIMEOUT_S", "KEEP_ALIVE_S"):
        monkeypatch.setenv(f"UNBROKEN_{name}", "1")
    with PlatformProcess(tmp_path / "data", lab=False) as running:
        yield running


def port_of(platform):
    return int(platform.base_url.rsplit(":", 1)[1])


def ask(platform, method, path, body=None, headers=None):
    """Status and body of a reply that comes in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(platform), timeout=IN_TIME_S)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def many_names_and_one_twice(size_bytes):
    names = b",".join(b'"%d":0' % number for number in range(size_bytes // 11))
    body = b"{" + names + b',"x":0,"x":0}'
    assert len(body) < size_bytes
    return body


def app_secret_of(platform):
    app = platform.command("app", "create", "Shop")
    return base64.b64encode(f"{app['app_id']}:{app['app_secret']}".encode()).decode()


@pytest.mark.counts_requests("how long one takes is what it measures, and two or more take longer")
@pytest.mark.parametrize("has_credential", [False, True], ids=["anybody", "an app"])
def test_a_large_object_stops_nobody(platform, has_credential):
    body = many_names_and_one_twice(8 << 20)
    headers = {"Content-Encoding": "zstd", "Content-Type": "application/json"}
    if has_credential:
        headers["Authorization"] = f"Basic {app_secret_of(platform)}"
    status, _ = ask(platform, "POST", "/sdk/installs", zstandard.compress(body), headers)
    assert status == (400 if has_credential else 413)
    assert ask(platform, "GET", "/health/live")[0] == 200


def test_an_object_as_large_as_anybody_may_send_stops_nobody(platform):
    status, _ = ask(platform, "POST", "/sdk/installs", many_names_and_one_twice(64 << 10))
    assert status == 400


def open_files(platform):
    page = ask(platform, "GET", "/metrics")[1].decode()
    (line,) = (line for line in page.splitlines() if line.startswith("process_open_fds "))
    return float(line.split()[1])


def until(condition):
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to be"
        time.sleep(0.1)


def test_callers_that_take_nothing_of_their_reply_are_hung_up_on(platform):
    before = open_files(platform)
    with ExitStack() as stack:
        for _ in range(CALLERS):
            caller = stack.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            caller.connect(("127.0.0.1", port_of(platform)))
            caller.sendall(UNREAD)
        until(lambda: open_files(platform) >= before + CALLERS // 2)
        until(lambda: open_files(platform) <= before + 2)

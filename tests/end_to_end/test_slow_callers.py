"""Callers that keep a connection and give nothing: all are hung up on, and whoever calls properly notices nothing."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack

import httpx
import pytest

from unbroken.testing.process import PlatformProcess

WAIT_S = 30.0
STOP_S = 5.0
HALF_HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Half: "
HALF_BODY = b"POST /sdk/installs HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{"
UNREAD = b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60
SLOW = [HALF_HEAD] * 40 + [HALF_BODY] * 40 + [b""] * 10


@pytest.fixture
def platform(tmp_path):
    settings = dict.fromkeys(("head_timeout_s", "body_timeout_s", "reply_timeout_s", "keep_alive_s"), "2")
    with PlatformProcess(tmp_path / "data", lab=False, settings=settings) as running:
        yield running


def connected(stack, platform, sent, **options):
    caller = stack.enter_context(socket.socket())
    for name, value in options.items():
        caller.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    caller.connect(("127.0.0.1", int(platform.base_url.rsplit(":", 1)[1])))
    caller.sendall(sent)
    return caller


def test_slow_callers_are_hung_up_on_and_good_ones_are_all_served(platform):
    with ExitStack() as stack, httpx.Client(base_url=platform.base_url) as good:
        waiting = {connected(stack, platform, sent) for sent in SLOW}
        deadline = time.monotonic() + WAIT_S
        served = 0
        while waiting:
            assert good.get("/health/live").status_code == 200
            served += 1
            assert time.monotonic() < deadline, f"{len(waiting)} are still connected"
            ready, _, _ = select.select(waiting, [], [], 0.01)
            waiting -= {caller for caller in ready if is_closed(caller)}
        assert served > 50


def is_closed(caller):
    try:
        return caller.recv(4096) == b""
    except ConnectionResetError:
        return True


def test_a_stop_waits_for_none_of_them(platform):
    with ExitStack() as stack:
        for sent in SLOW:
            connected(stack, platform, sent)
        for _ in range(10):
            connected(stack, platform, UNREAD, SO_RCVBUF=2048)
        assert httpx.get(f"{platform.base_url}/health/live").status_code == 200
        began = time.monotonic()
        platform.stop()
        assert time.monotonic() - began < STOP_S

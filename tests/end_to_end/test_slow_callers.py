"""Callers that keep a connection and give nothing: all are hung up on, and whoever calls properly notices nothing."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import httpx
import pytest
from tests.slow import SLOW, STOP_S, served_until_all_are_let_go

from unbroken.testing.process import PlatformProcess

UNREAD = b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60


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


def took_to_stop_s(platform):
    assert httpx.get(f"{platform.base_url}/health/live").status_code == 200
    began = time.monotonic()
    platform.stop()
    return time.monotonic() - began


def test_slow_callers_are_hung_up_on_and_good_ones_are_all_served(platform):
    with ExitStack() as stack, httpx.Client(base_url=platform.base_url) as good:

        def serve():
            assert good.get("/health/live").status_code == 200

        slow = [connected(stack, platform, sent) for sent in SLOW]
        assert served_until_all_are_let_go(slow, serve) > 10


def test_a_stop_waits_for_none_of_them(platform):
    with ExitStack() as stack:
        for sent in SLOW:
            connected(stack, platform, sent)
        for _ in range(10):
            connected(stack, platform, UNREAD, SO_RCVBUF=2048)
        assert took_to_stop_s(platform) < STOP_S


def test_nor_under_the_times_that_are_shipped(tmp_path):
    with PlatformProcess(tmp_path / "data", lab=False) as platform, ExitStack() as stack:
        for sent in SLOW:
            connected(stack, platform, sent)
        assert took_to_stop_s(platform) < STOP_S

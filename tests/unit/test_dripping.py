"""Whoever answers byte by byte, for ever, holds nobody longer than a call may take: four clients on real sockets."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import threading
from contextlib import contextmanager, suppress

import httpx
import pytest

from unbroken.backend import AsyncPlatform, Options, Platform, PlatformUnreachable, Retry
from unbroken.outgoing import NoReply, client_arguments, no_reply
from unbroken.outgoing.deadline import TimedTransport
from unbroken.outgoing.exchange import Bounds, exchange, exchange_async, patience_s
from unbroken.sdk import AsyncSdk, Config, InitError, InitIssue, Sdk, Secret, Storage

LIMIT_S = 0.4
PAUSE_S = 0.02
DROPS_MAX = 1_500
"""For half a minute: a client that is still there then is held by whoever drips."""

INSTALL = "a1" * 12
HEAD = (b"HTTP/1.1 200 OK\r\nX-Drop: ", b"a")
NOT_YET = (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
BODY = (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")
HANDSHAKE = (b"\x16\x03\x03\x40\x00", b"\x00")


class Dripping:
    """A server that answers a byte at a time; `was_left` once a client has hung up on it."""

    def __init__(self, begin, drops):
        self.begin = begin
        self.drops = drops
        self.was_left = threading.Event()
        self.is_over = threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                with connection:
                    self.drip(connection)

    def drip(self, connection):
        try:
            connection.sendall(self.begin)
            for drop in itertools.islice(itertools.cycle(self.drops), DROPS_MAX):
                connection.sendall(bytes([drop]))
                if self.is_over.wait(PAUSE_S):
                    return
        except OSError:
            self.was_left.set()


@contextmanager
def dripping(begin, drops):
    server = Dripping(begin, drops)
    server.thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        server.listening.shutdown(socket.SHUT_RDWR)
        server.listening.close()
        server.thread.join(30)


def config(url, directory):
    return Config(
        app_id="b2" * 12, base_url=url, storage=Storage(directory), secret=Secret("the app's secret"),
        ssl_context=ssl.create_default_context(), request_timeout_s=LIMIT_S, upload_every_s=None,
    )  # fmt: skip


def options():
    return Options(timeout_s=LIMIT_S, retry=Retry(tries_max=1), ssl_context=ssl.create_default_context())


def by_sdk(url, directory):
    with Sdk(config(url, directory)) as sdk, pytest.raises(InitError) as caught:
        sdk.init()
    assert caught.value.issue is InitIssue.SERVICE_UNREACHABLE


def by_async_sdk(url, directory):
    async def initialise():
        async with AsyncSdk(config(url, directory)) as sdk:
            with pytest.raises(InitError) as caught:
                await sdk.init()
            assert caught.value.issue is InitIssue.SERVICE_UNREACHABLE

    asyncio.run(initialise())


def by_kit(url, _):
    with Platform(url, api_key="unb_key_1", options=options()) as platform, pytest.raises(PlatformUnreachable):
        platform.link(INSTALL, external_id="alice")


def by_async_kit(url, _):
    async def link():
        async with AsyncPlatform(url, api_key="unb_key_1", options=options()) as platform:
            with pytest.raises(PlatformUnreachable):
                await platform.link(INSTALL, external_id="alice")

    asyncio.run(link())


CLIENTS = [by_sdk, by_async_sdk, by_kit, by_async_kit]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("drops", [HEAD, NOT_YET, BODY], ids=["head", "not yet", "body"])
def test_a_reply_that_drips_is_left_in_time(client, drops, tmp_path):
    with dripping(*drops) as server:
        client(f"http://127.0.0.1:{server.port}", tmp_path / "device")
        assert server.was_left.wait(30)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_handshake_that_drips_is_left_in_time(client, tmp_path):
    with dripping(*HANDSHAKE) as server:
        client(f"https://localhost:{server.port}", tmp_path / "device")
        assert server.was_left.wait(30)


# Sending


def asked_by(url, content, limit_s=LIMIT_S):
    with httpx.Client(transport=TimedTransport(None), **client_arguments(url, None)) as client:
        return exchange(client, {"method": "POST", "url": "/", "content": content}, Bounds(1, limit_s), no_reply)


def asked_by_asyncio(url, content):
    async def ask():
        async with httpx.AsyncClient(**client_arguments(url, None)) as client:
            request = {"method": "POST", "url": "/", "content": content}
            return await exchange_async(client, request, Bounds(1, LIMIT_S), no_reply)

    return asyncio.run(ask())


def take_slowly(listening, is_left):
    """So slowly that all of it would take half a minute and more."""
    connection, _ = listening.accept()
    with connection:
        for _ in range(DROPS_MAX):
            try:
                taken = connection.recv(16 << 10)
            except OSError:
                taken = b""
            if not taken:
                is_left.set()
            if is_left.wait(PAUSE_S):
                return


@pytest.mark.parametrize("ask", [asked_by, asked_by_asyncio])
def test_whoever_takes_a_request_drop_by_drop_is_left_in_time(ask):
    is_left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        taking = threading.Thread(target=take_slowly, args=(listening, is_left))
        taking.start()
        assert isinstance(ask(f"http://127.0.0.1:{listening.getsockname()[1]}", b" " * (32 << 20)), NoReply)
        taking.join()
    assert is_left.is_set()


def test_a_large_body_may_take_longer_than_a_small_one():
    assert patience_s(30.0, b"") == patience_s(30.0, b"x" * 4095) == 30.0
    assert patience_s(30.0, b"x" * (128 << 10)) == 62.0


# Connecting


def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch):
    """The first of two takes no connection: its queue is full."""
    resolve = socket.getaddrinfo

    def two(host, port, *arguments, **named):
        found = resolve("127.0.0.1", port, *arguments, **named)
        return [(*what, ("127.0.0.2", port)) for *what, _ in found] + found if host == "localhost" else found

    with socket.create_server(("127.0.0.1", 0)) as answering, socket.socket() as silent:
        port = answering.getsockname()[1]
        silent.bind(("127.0.0.2", port))
        silent.listen(0)
        with full_queue(("127.0.0.2", port)):
            monkeypatch.setattr(socket, "getaddrinfo", two)
            asking = threading.Thread(target=answer_once, args=(answering,))
            asking.start()
            with httpx.Client(
                transport=TimedTransport(None), **client_arguments(f"http://localhost:{port}", None)
            ) as client:
                reply = exchange(client, {"method": "GET", "url": "/"}, Bounds(1, 4.0), no_reply)
            assert getattr(reply, "status", reply) == 204
            asking.join(30)


@contextmanager
def full_queue(address):
    waiting = []
    try:
        with suppress(TimeoutError):
            while len(waiting) < 8:
                waiting.append(socket.create_connection(address, timeout=0.5))
        yield
    finally:
        for connection in waiting:
            connection.close()


def answer_once(listening):
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

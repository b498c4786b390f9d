"""Real sockets: what uvicorn would let through or hold for ever, and how the server stops."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from unbroken.server.connection import HEADERS_MAX, PIPELINED_MAX, close_late_ones, protocol_class
from unbroken.server.settings import Settings

FAST = Settings(head_timeout_s=1, body_timeout_s=1, reply_timeout_s=1, keep_alive_s=1)


@asynccontextmanager
async def served(opened, settings):
    listener = socket.create_server(("127.0.0.1", 0))
    kind = protocol_class(settings, lambda: "8b5d9c0e-3f57-4c57-9d5e-0a6c1f4b7e21")
    config = uvicorn.Config(
        opened.api.application, http=kind, ws="none", lifespan="off", log_config=None, access_log=False,
        timeout_keep_alive=int(settings.keep_alive_s), timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    late = asyncio.create_task(close_late_ones(server.server_state.connections, lambda: server.should_exit))
    serving = asyncio.create_task(server._serve([listener]))
    try:
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)
        late.cancel()


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
def talk(world):
    """Sends bytes over a socket and returns all that comes back until the server hangs up."""

    def run(*pieces, settings=FAST, close=True):
        async def step(opened):
            async with served(opened, settings) as (port, _), connected(port) as (reader, writer):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if close:
                    writer.write_eof()
                return await asyncio.wait_for(reader.read(), 8)

        return world(step)

    return run


def problem(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head.lower()
    return int(head.split()[1]), json.loads(body)["errorCode"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"HELLO\r\n\r\n",
        b"GET /things/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /things/x HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\x00b: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_refused_in_our_shape(talk, request_bytes):
    assert problem(talk(request_bytes, close=False)) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "host",
    [
        b"x",
        b"link.example.com:8443",
        b"[::1]",
        b"[2001:db8::7]:80",
        b"192.0.2.7:1",
        b"",
        b"x_y.example",
        b"xn--bcher-kva.example",
    ],
)
def test_a_host_that_is_one_is_taken(talk, host):
    answer = talk(b"GET /things/x HTTP/1.1\r\nConnection: close\r\nHost: %b\r\n\r\n" % host)
    assert answer.startswith(b"HTTP/1.1 200")


def test_http_of_before_there_were_hosts_needs_none(talk):
    assert talk(b"GET /things/x HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a/b\r\n",
        b"Host: a b\r\n",
        b"Host: \xc3\xa9\r\n",
        b"Host: " + b"x" * 301 + b"\r\n",
    ],
)
def test_a_host_that_is_none_is_refused(talk, lines):
    assert problem(talk(b"GET /things/x HTTP/1.1\r\n" + lines + b"\r\n", close=False)) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(("count", "status"), [(HEADERS_MAX - 2, 200), (HEADERS_MAX - 1, 413)])
def test_a_request_has_so_many_header_lines_and_no_more(talk, count, status):
    lines = b"".join(b"X-%d: y\r\n" % number for number in range(count))
    answer = talk(b"GET /things/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n", close=False)
    assert int(answer.split()[1]) == status
    assert answer.count(b"HTTP/1.1") == 1


def test_every_reply_says_that_it_is_what_it_says_and_is_not_to_be_kept(talk):
    asked = [
        b"GET /things/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /things/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /fail HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /things/x HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]
    for request in asked:
        head = talk(request, close=False).partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        assert b"x-content-type-options: nosniff" in head, request
        assert b"cache-control: no-store" in head, request


class Caller:
    """The transport of a connection from an address."""

    def __init__(self, address):
        self.address = address
        self.is_aborted = False

    def get_extra_info(self, name):
        return (self.address, 51_034) if name == "peername" else None

    def abort(self):
        self.is_aborted = True

    def close(self):
        pass


def test_an_address_has_so_many_connections_and_others_have_theirs():
    async def whole():
        kind = protocol_class(Settings(limit_address_connections=3, trusted_proxies="10.0.0.1"), str)
        config = uvicorn.Config(print, http=kind, ws="none", lifespan="off", log_config=None)
        state = uvicorn.server.ServerState()

        def connect(address):
            connection, caller = kind(config=config, server_state=state, app_state={}), Caller(address)
            connection.connection_made(caller)
            return connection, caller

        crowd = [connect("203.0.113.7") for _ in range(5)]
        assert [caller.is_aborted for _, caller in crowd] == [False] * 3 + [True] * 2
        assert not any(connect(address)[1].is_aborted for address in ["198.51.100.1"] * 3)
        assert not any(connect(address)[1].is_aborted for address in ["127.0.0.1", "10.0.0.1"] * 9)
        for connection, _ in crowd:
            connection.connection_lost(None)
        assert not connect("203.0.113.7")[1].is_aborted
        assert kind.open_from.total() == 4

    asyncio.run(whole())


def test_a_head_without_end_is_refused(talk):
    lines = [b"GET /things/x HTTP/1.1\r\nHost: x\r\n"] + [b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(90)]
    assert problem(talk(*lines, close=False, settings=Settings())) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET /things/x HT", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"],
    ids=["silence", "half a head", "half a body"],
)
def test_who_keeps_us_waiting_is_hung_up_on(talk, request_bytes):
    try:
        answer = talk(request_bytes, close=False)
    except ConnectionResetError:
        answer = b""
    assert b"200" not in answer


def test_half_a_second_head_is_hung_up_on_too(talk):
    try:
        answer = talk(b"GET /things/x HTTP/1.1\r\nHost: x\r\n\r\nGET /thi", close=False)
    except ConnectionResetError:
        return
    assert answer.count(b"HTTP/1.1 200") == 1


PACKED = gzip.compress(b'"%b"' % (b"x" * (7 << 20)))
LARGE = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (
    len(PACKED),
    PACKED,
)


@pytest.mark.parametrize("requests", [1, 20], ids=["one reply", "many replies"])
def test_who_takes_nothing_of_a_reply_is_hung_up_on(world, requests):
    async def step(opened):
        async with served(opened, FAST) as (port, server):
            with socket.socket() as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                caller.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(caller, ("127.0.0.1", port))
                sending = asyncio.create_task(loop.sock_sendall(caller, LARGE * requests))
                await until(lambda: server.server_state.connections)
                await until(lambda: not server.server_state.connections)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    world(step)


async def until(condition):
    for _ in range(800):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be")


class Wire:
    """A transport whose caller takes what it is told to."""

    def __init__(self):
        self.untaken_bytes = 0
        self.is_aborted = False

    def get_extra_info(self, _):
        return None

    def get_write_buffer_size(self):
        return self.untaken_bytes

    def abort(self):
        self.is_aborted = True


def looked_at(untaken):
    """Whether a connection was hung up on, by a look at each second, with so many bytes untaken at each."""

    async def whole():
        state, wire, kind = uvicorn.server.ServerState(), Wire(), protocol_class(Settings(reply_timeout_s=5), str)
        config = uvicorn.Config(print, http=kind, ws="none", lifespan="off", log_config=None)
        connection = kind(config=config, server_state=state, app_state={})
        connection.connection_made(wire)
        for second, wire.untaken_bytes in enumerate(untaken):
            connection.close_if_late(second, stopping=False)
        return wire.is_aborted

    return asyncio.run(whole())


def test_who_takes_slowly_but_takes_is_waited_for():
    assert not looked_at([90_000 - 10 * second for second in range(60)])
    assert looked_at([90_000] * 7)


@pytest.mark.parametrize(
    "trailers",
    [[b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(400)], [b"X: ", *[b"y" * 10_000] * 40]],
    ids=["many", "one"],
)
def test_what_follows_a_chunked_body_has_the_limit_of_a_head(talk, trailers):
    chunked = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n"
    try:
        answer = talk(chunked, *trailers, close=False, settings=Settings())
    except ConnectionResetError:  # what was sent after the refusal overtook it
        return
    assert problem(answer) == (413, "TOO_LARGE")


def test_a_trailer_is_read_over(talk):
    answer = talk(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\n1\r\n0\r\nAuthorization: x\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_chunked_body_in_many_pieces_is_no_head(talk):
    body = b'"' + b"x" * 300_000 + b'"'
    pieces = [b"%x\r\n%s\r\n" % (len(body[at : at + 997]), body[at : at + 997]) for at in range(0, len(body), 997)]
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert talk(head, *pieces, b"0\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_requests_before_their_turn_are_so_many_and_no_more(talk):
    one = b"GET /things/x HTTP/1.1\r\nHost: x\r\n\r\n"
    assert talk(one * PIPELINED_MAX, close=False).count(b"HTTP/1.1 200") == PIPELINED_MAX
    answer = talk(one * 3_000, close=False)
    assert answer.count(b"HTTP/1.1 200") <= PIPELINED_MAX
    assert answer.count(b"HTTP/1.1 400") == 1


def test_a_refused_large_body_does_not_hide_its_reply(talk):
    body = b"x" * (3 << 20)
    answer = talk(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert problem(answer) == (413, "TOO_LARGE")


def test_the_reply_to_a_too_large_body_does_not_wait_for_it(world):
    async def step(opened):
        async with served(opened, Settings()) as (port, _), connected(port) as (reader, writer):
            writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx")
            return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)

    assert world(step).startswith(b"HTTP/1.1 413")


def test_an_upgrade_that_is_not_known_is_answered_as_if_not_asked(talk):
    answer = talk(b"GET /things/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_their_order(talk):
    one = b"GET /things/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(one % 1 + one % 2 + one % 3, close=False)
    assert [answer.find(b'"thing_id":"%d"' % n) for n in (1, 2, 3)] == sorted(
        answer.index(b'"thing_id":"%d"' % n) for n in (1, 2, 3)
    )


def test_a_reply_in_one_write_says_what_one_in_messages_says(talk):
    def said(connection):
        answer = talk(b"GET /things/x HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n\r\n" % connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        lines = [line for line in lines if line != b"connection: close"]
        return (
            status,
            sorted(line for line in lines if not line.startswith((b"x-request-id: ", b"date: "))),
            body,
            len(lines),
        )

    assert said(b"keep-alive") == said(b"close")


def test_a_head_request_gets_no_body(talk):
    answer = talk(b"HEAD /things/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


def test_a_stop_does_not_wait_for_half_a_body(world):
    async def step(opened):
        loop = asyncio.get_running_loop()
        async with served(opened, Settings()) as (port, server), connected(port) as (reader, writer):
            writer.write(b"GET /things/x HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n1")
            await reader.readuntil(b"100 Continue\r\n")
            began = loop.time()
            server.should_exit = True
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)
            return loop.time() - began

    assert world(step) < 4.5

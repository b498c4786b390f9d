"""Pins against real TLS servers: whoever has no pinned key is told nothing, whatever client holds the context."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import urllib.request

import aiohttp
import httpx
import pytest
import requests
import urllib3
import uvloop
from requests.adapters import HTTPAdapter
from tests.unit.sdk.tls_peers import HOST, Authorities, peer

from unbroken.clock import ManualClock
from unbroken.sdk import InvalidConfig, Pins, pinned_context
from unbroken.sdk.pinning import PinMismatch


@pytest.fixture(scope="module")
def authorities():
    return Authorities()


@pytest.fixture
def context(authorities):
    return pinned_context(HOST, authorities.pins, context=authorities.context())


# The clients


def by_httpx(url, context):
    with httpx.Client(verify=context, trust_env=False, follow_redirects=True) as client:
        return client.get(url).content


def by_urllib(url, context):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=60) as reply:
        return reply.read()


def by_urllib3(url, context):
    with urllib3.PoolManager(ssl_context=context, retries=urllib3.Retry(connect=0, other=0, redirect=1)) as pool:
        return pool.request("GET", url).data


def by_requests(url, context):
    class Pinned(HTTPAdapter):
        def init_poolmanager(self, *arguments, **named):
            super().init_poolmanager(*arguments, ssl_context=context, **named)

    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Pinned())
        return session.get(url, timeout=60).content


async def by_async_httpx(url, context):
    async with httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=True) as client:
        return (await client.get(url)).content


async def by_aiohttp(url, context):
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as reply:
        return await reply.read()


async def by_asyncio(url, context):
    parts = httpx.URL(url)
    reader, writer = await asyncio.open_connection(parts.host, parts.port, ssl=context)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    reply = await reader.readuntil(b"hello")
    writer.close()
    await writer.wait_closed()
    return reply.rpartition(b"\r\n")[2]


def on(loop_factory, client):
    def called(url, context):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(client(url, context))

    return called


CLIENTS = {
    "httpx": by_httpx,
    "urllib": by_urllib,
    "urllib3": by_urllib3,
    "requests": by_requests,
    "httpx on asyncio": on(None, by_async_httpx),
    "httpx on uvloop": on(uvloop.new_event_loop, by_async_httpx),
    "aiohttp": on(None, by_aiohttp),
    "aiohttp on uvloop": on(uvloop.new_event_loop, by_aiohttp),
    "asyncio": on(None, by_asyncio),
}
FOLLOWING = {name: client for name, client in CLIENTS.items() if client is not CLIENTS["asyncio"]}


def named(clients):
    return pytest.mark.parametrize("client", clients.values(), ids=clients)


def is_pin_mismatch(error):
    """Whether a PinMismatch is what any client's own exception wraps."""
    seen, waiting = set(), [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, PinMismatch):
            return True
        waiting += [found.__cause__, found.__context__, *(a for a in found.args if isinstance(a, BaseException))]
        waiting += [reason for reason in [getattr(found, "reason", None)] if isinstance(reason, BaseException)]
    return False


def assert_refused(client, url, context):
    with pytest.raises(Exception) as caught:
        client(url, context)
    assert is_pin_mismatch(caught.value), repr(caught.value)


# Whom they talk to


@named(CLIENTS)
@pytest.mark.parametrize("name", ["genuine", "backup"])
def test_a_pinned_key_is_talked_to(client, name, authorities, context, tmp_path):
    with peer(tmp_path, getattr(authorities, name)) as server:
        assert client(server.url, context) == b"hello"
    assert server.application_bytes > 0


@named(CLIENTS)
@pytest.mark.parametrize("name", ["misissued", "of_other_root"])
def test_a_key_that_any_trusted_ca_vouches_for_but_no_pin_gets_no_byte(client, name, authorities, context, tmp_path):
    with peer(tmp_path, getattr(authorities, name)) as server:
        assert_refused(client, server.url, context)
    assert (server.connections, server.application_bytes) == (1, 0)


@named(CLIENTS)
@pytest.mark.parametrize("name", ["misissued", "of_other_root"])
def test_the_genuine_certificate_appended_to_another_chain_gets_no_byte(client, name, authorities, context, tmp_path):
    with peer(tmp_path, getattr(authorities, name), appended=(authorities.genuine,)) as server:
        assert_refused(client, server.url, context)
    assert (server.connections, server.application_bytes) == (1, 0)


@named(FOLLOWING)
def test_a_redirect_to_another_key_gets_no_byte(client, authorities, context, tmp_path):
    with peer(tmp_path, authorities.misissued) as elsewhere:

        def redirected(method, path, headers, body):
            return 302, b"", {"Location": elsewhere.url, "Connection": "close"}

        with peer(tmp_path, authorities.genuine, answer=redirected) as server:
            assert_refused(client, server.url, context)
    assert server.application_bytes > 0
    assert elsewhere.application_bytes == 0


@named(CLIENTS)
def test_who_comes_to_the_place_of_a_pinned_key_gets_no_byte_of_its_session(client, authorities, context, tmp_path):
    with peer(tmp_path, authorities.genuine) as server:
        assert client(server.url, context) == b"hello"  # and a session that could be resumed
    with peer(tmp_path, authorities.misissued, port=server.port) as wrong:
        assert_refused(client, wrong.url, context)
    assert (wrong.connections, wrong.application_bytes) == (1, 0)


@named(CLIENTS)
def test_a_name_that_has_no_pins_gets_no_byte(client, authorities, tmp_path):
    context = pinned_context("another.example", authorities.pins, context=authorities.context())
    with peer(tmp_path, authorities.genuine) as server:
        assert_refused(client, server.url, context)
    assert (server.connections, server.application_bytes) == (1, 0)


def test_an_intermediate_of_ones_own_can_be_pinned(authorities, tmp_path):
    pins = [authorities.intermediate.pin, authorities.backup.pin]
    context = pinned_context(HOST, pins, context=authorities.context())
    with peer(tmp_path, authorities.misissued) as of_it, peer(tmp_path, authorities.of_other_root) as not_of_it:
        assert by_httpx(of_it.url, context) == b"hello"
        assert_refused(by_httpx, not_of_it.url, context)
    assert not_of_it.application_bytes == 0


# The ways around


def wrapped(context, server, **settings):
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    return context.wrap_socket(plain, server_hostname=HOST, **settings)


IMPLICIT = {
    "send": lambda tls: tls.send(b"secret"),
    "sendall": lambda tls: tls.sendall(b"secret"),
    "write": lambda tls: tls.write(b"secret"),
    "sendfile": lambda tls: tls.sendfile(io.BytesIO(b"secret")),
    "makefile": lambda tls: tls.makefile("wb", buffering=0).write(b"secret"),
    "recv": lambda tls: tls.recv(1),
    "recv_into": lambda tls: tls.recv_into(bytearray(1)),
    "read": lambda tls: tls.read(1),
    "unwrap": lambda tls: tls.unwrap(),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("use", IMPLICIT.values(), ids=IMPLICIT)
@pytest.mark.parametrize("name", ["genuine", "misissued"])
def test_no_read_or_write_shakes_hands_unasked(use, name, authorities, context, tmp_path):
    with peer(tmp_path, getattr(authorities, name)) as server:
        tls = wrapped(context, server, do_handshake_on_connect=False)
        with pytest.raises(PinMismatch):
            use(tls)
        tls.close()
    assert server.application_bytes == 0


@pytest.mark.parametrize("use", [lambda tls: tls.write(b"secret"), lambda tls: tls.read(1), lambda tls: tls.unwrap()])
def test_no_read_or_write_without_a_socket_shakes_hands_unasked(use, context):
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with pytest.raises(PinMismatch):
        use(tls)
    assert outgoing.pending == 0


def test_after_a_failed_check_the_socket_is_closed(authorities, context, tmp_path):
    with peer(tmp_path, authorities.misissued) as server:
        tls = wrapped(context, server, do_handshake_on_connect=False)
        with pytest.raises(PinMismatch):
            tls.do_handshake()
        assert tls.fileno() == -1
        with pytest.raises(OSError):
            tls.send(b"secret")
    assert server.application_bytes == 0


def test_a_socket_that_connects_after_it_was_wrapped_is_checked_too(authorities, context, tmp_path):
    with peer(tmp_path, authorities.misissued) as wrong, peer(tmp_path, authorities.genuine) as right:
        with context.wrap_socket(socket.socket(), server_hostname=HOST) as tls, pytest.raises(PinMismatch):
            tls.connect(("127.0.0.1", wrong.port))
        with context.wrap_socket(socket.socket(), server_hostname=HOST) as tls:
            tls.connect(("127.0.0.1", right.port))
            tls.sendall(b"x")
    assert (wrong.application_bytes, right.application_bytes) == (0, 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_has_no_chain_and_is_refused(version, authorities, context, tmp_path):
    with peer(tmp_path, authorities.genuine, version=version) as server:
        with wrapped(context, server) as first:
            first.sendall(b"GET / HTTP/1.1\r\n\r\n")
            first.recv(1)  # by now a TLS 1.3 ticket has come too
            session = first.session
        with pytest.raises(PinMismatch):
            wrapped(context, server, session=session)
    assert server.application_bytes == len(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    "weakened", [{"check_hostname": False}, {"check_hostname": False, "verify_mode": ssl.CERT_NONE}]
)
def test_a_context_that_is_told_not_to_verify_is_refused(weakened, authorities, context, tmp_path):
    for name, value in weakened.items():
        setattr(context, name, value)
    with peer(tmp_path, authorities.genuine) as server, pytest.raises(PinMismatch):
        wrapped(context, server)
    assert server.application_bytes == 0
    with pytest.raises(InvalidConfig):
        pinned_context(HOST, authorities.pins, context=context)


def test_a_context_that_hides_another_one_is_refused(authorities):
    class Wrapping(ssl.SSLContext):
        pass

    with pytest.raises(InvalidConfig, match="cannot be pinned"):
        pinned_context(HOST, authorities.pins, context=Wrapping(ssl.PROTOCOL_TLS_CLIENT))


def test_chain_and_host_name_are_checked_as_ever(authorities, tmp_path):
    elsewhere = authorities.intermediate.issue("elsewhere.example")
    trusting_one = pinned_context(HOST, [elsewhere.pin, authorities.genuine.pin], context=authorities.context())
    trusting_none = pinned_context(HOST, authorities.pins)
    for holder, context in [(elsewhere, trusting_one), (authorities.genuine, trusting_none)]:
        with peer(tmp_path, holder) as server, pytest.raises(ssl.SSLCertVerificationError) as caught:
            wrapped(context, server)
        assert not isinstance(caught.value, PinMismatch)
        assert server.application_bytes == 0


def test_the_context_of_its_own_is_a_careful_one(authorities, monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = pinned_context(HOST, authorities.pins)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.keylog_filename is None
    assert context.options & ssl.OP_NO_RENEGOTIATION  # which could bring another certificate


# Their end


@pytest.mark.parametrize(("is_strict", "is_talked_to"), [(False, True), (True, False)])
def test_pins_end_when_they_say_so_unless_they_are_strict(is_strict, is_talked_to, authorities, tmp_path):
    clock = ManualClock(999)
    pins = Pins(authorities.pins, expires_at_ms=1000, is_strict=is_strict)
    context = pinned_context(HOST, pins, context=authorities.context(), clock=clock)
    with peer(tmp_path, authorities.misissued) as server:
        assert_refused(by_httpx, server.url, context)
        assert server.application_bytes == 0
        clock.advance_to(1000)
        if is_talked_to:
            assert by_httpx(server.url, context) == b"hello"
        else:
            assert_refused(by_httpx, server.url, context)

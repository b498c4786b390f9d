"""The Caddyfile, with a real Caddy and a real platform behind it: TLS, limits, times, and what is kept inside."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.deploy.programs import DEPLOY, program

from unbroken import wire
from unbroken.clock import SystemClock
from unbroken.sdk import Config, Device, Location, Sdk, Secret, Storage
from unbroken.server.settings import Settings
from unbroken.testing.process import PlatformProcess, free_port, spawn, stop_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_BYTES = wire.BODY_MAX_BYTES
WAIT_S = 60.0
PHONE = {"device": {"platform": "android"}, "sdk": {"name": "proxied", "version": "1"}}


class Front:
    """A platform, and Caddy in front of it."""

    def __init__(self, directory: Path, caddyfile: Path) -> None:
        self.platform = PlatformProcess(directory / "data", lab=False)
        self.port = free_port()
        self._directory, self._caddyfile = directory, caddyfile

    @contextmanager
    def running(self) -> Iterator[Front]:
        with self.platform:
            self.app = self.platform.command("app", "create", "proxied")
            with (self._directory / "caddy.log").open("wb") as output:
                caddy = spawn(
                    [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(self._caddyfile)],
                    self._environment(),
                    output,
                )
            try:
                self.trust = self._await_certificate(caddy)
                yield self
            finally:
                stop_process(caddy)

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "UNBROKEN_SITE": "localhost",
            "UNBROKEN_UPSTREAMS": self.platform.base_url.removeprefix("http://"),
            "CADDY_HTTP_PORT": str(free_port()),
            "CADDY_HTTPS_PORT": str(self.port),
            "XDG_DATA_HOME": str(self._directory),
            "XDG_CONFIG_HOME": str(self._directory),
        }

    def _await_certificate(self, caddy: subprocess.Popen[bytes]) -> ssl.SSLContext:
        """Caddy signs `localhost` itself: wait until it answers under that certificate."""
        root = self._directory / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        deadline = time.monotonic() + WAIT_S
        while True:
            with suppress(OSError):
                trust = ssl.create_default_context(cafile=str(root))
                with closing(self.connect(trust)):
                    return trust
            assert caddy.poll() is None, (self._directory / "caddy.log").read_text()
            assert time.monotonic() < deadline, (self._directory / "caddy.log").read_text()
            time.sleep(0.05)

    def connect(self, trust: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection(("localhost", self.port), WAIT_S)
        return (trust or self.trust).wrap_socket(raw, server_hostname="localhost")

    def call(self, method: str, path: str, body: object = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.trust, timeout=WAIT_S)
        with closing(connection):
            connection.request(method, path, body=body, headers=headers, encode_chunked="transfer_encoding" in headers)
            reply = connection.getresponse()
            reply.text = reply.read()
            return reply

    def token(self) -> str:
        pair = b64encode(f"{self.app['app_id']}:{self.app['app_secret']}".encode()).decode()
        reply = self.call("POST", "/sdk/installs", json.dumps(PHONE), Authorization=f"Basic {pair}")
        assert reply.status == 201, reply.text
        return "Bearer " + json.loads(reply.text)["user_token"]["token"]


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    with Front(tmp_path_factory.mktemp("caddy"), DEPLOY / "Caddyfile").running() as started:
        yield started


def test_a_phone_registers_and_uploads_through_it(front, tmp_path):
    config = Config(
        app_id=front.app["app_id"],
        secret=lambda: Secret(front.app["app_secret"]),
        base_url=f"https://localhost:{front.port}",
        storage=Storage(tmp_path / "phone"),
        device=Device(platform="android", screen_inches=6.1),
        ssl_context=front.trust,
        upload_every_s=None,
    )
    with Sdk(config) as sdk:
        sdk.init()
        sdk.capture(Location(t=SystemClock().now_ms(), lat=50.85, lon=4.35, acc=8))
        assert sdk.submit_detections().items == 1


@pytest.mark.parametrize(
    "path", ["/metrics", "/%6Detrics", "//metrics", "/METRICS", "/x/../metrics", "/health/ready", "/lab/settle"]
)
def test_what_takes_no_credential_stays_inside(front, path):
    reply = front.call("GET", path)
    assert (reply.status, reply.text) == (404, b"")


@pytest.mark.parametrize("over", [0, 1, 16 << 10])
def test_a_body_up_to_the_limit_reaches_the_platform_and_a_larger_one_is_refused_in_its_words(front, over):
    reply = front.call("POST", "/sdk/payloads", b" " * (LIMIT_BYTES + over), Authorization=front.token())
    told = json.loads(reply.text)
    assert (reply.status, told["errorCode"]) == ((413, "TOO_LARGE") if over else (400, "INVALID_REQUEST"))


def test_a_body_far_over_the_limit_is_refused_by_caddy(front):
    assert front.call("POST", "/sdk/payloads", b" " * (3 * LIMIT_BYTES), Authorization=front.token()).status == 413


def test_no_address_of_a_caller_is_told_to_the_platform(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        front = Front(tmp_path, DEPLOY / "Caddyfile")
        front.platform = Silent(upstream)
        heads = []
        answering = threading.Thread(target=answer, args=(upstream, heads), daemon=True)
        answering.start()
        with front.running():
            front.call("GET", "/v2/users", **{"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"})
    (head,) = [head for head in heads if b"/v2/users" in head]
    assert b"orwarded" not in head
    assert b"203.0.113.7" not in head


class Silent:
    """In the place of a platform: somebody who listens."""

    def __init__(self, listener):
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def command(self, *_):
        return {}


def answer(listener, heads):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            heads.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_a_call_waits_while_the_platform_is_started_anew(front):
    token = front.token()
    front.platform.stop()
    starting = threading.Thread(target=front.platform.start)
    starting.start()
    reply = front.call("GET", "/sdk/install", Authorization=token)
    starting.join()
    assert reply.status == 200, reply.text


def test_without_a_platform_callers_are_told_when_to_come_back(tmp_path):
    impatient = changed(tmp_path, lb_try_duration="1s")
    with Front(tmp_path, impatient).running() as front:
        front.platform.kill()
        reply = front.call("GET", "/sdk/state")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
        assert json.loads(reply.text)["errorCode"] == "UNAVAILABLE"
        front.platform.start()


@pytest.mark.parametrize("sent", [b"", b"GET /sdk/state HTTP/1.1\r\nHost: localhost\r\n"])
def test_who_says_nothing_or_half_a_head_is_left_alone(tmp_path, sent):
    with Front(tmp_path, changed(tmp_path, read_header="1s", idle="1s")).running() as front, front.connect() as caller:
        caller.sendall(sent)
        caller.settimeout(WAIT_S)
        assert caller.recv(1) == b""


def test_a_body_that_comes_drop_by_drop_ends_when_the_platform_gives_it_up(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBROKEN_BODY_TIMEOUT_S", "1")
    with Front(tmp_path, changed(tmp_path, read_body="5s")).running() as front:
        head = f"POST /sdk/payloads HTTP/1.1\r\nHost: localhost\r\nAuthorization: {front.token()}\r\n"
        with front.connect() as caller:
            caller.sendall(head.encode() + b"Content-Length: 99999\r\n\r\n{")
            assert drip(caller).startswith(b"HTTP/1.1 503 ")


def drip(caller: ssl.SSLSocket) -> bytes:
    """Send a byte now and then until something is answered."""
    deadline = time.monotonic() + WAIT_S
    caller.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            return caller.recv(4096)
        except TimeoutError:
            caller.sendall(b" ")
    raise AssertionError("nothing was answered")


def changed(directory: Path, **values: str) -> Path:
    """The Caddyfile with other times, so that a test need not wait out those in force."""
    text = (DEPLOY / "Caddyfile").read_text()
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^(\s*{name}) \S+", rf"\1 {value}", text)
        assert count == 1, name
    path = directory / "Caddyfile"
    path.write_text(text)
    return path


def test_the_times_of_caddy_agree_with_those_of_the_platform():
    text, ours = (DEPLOY / "Caddyfile").read_text(), Settings()

    def in_s(name):
        (found,) = re.findall(rf"(?m)^\s*{name} (\d+)s", text)
        return float(found)

    assert (in_s("read_header"), in_s("idle")) == (ours.head_timeout_s, ours.keep_alive_s)
    assert in_s("read_body") > ours.body_timeout_s
    assert in_s("keepalive") < ours.keep_alive_s, "or a request is sent into a connection that is being closed"


def test_the_caddyfile_is_formatted():
    done = subprocess.run([program("caddy"), "fmt", str(DEPLOY / "Caddyfile")], capture_output=True, check=False)
    assert done.stdout.decode() == (DEPLOY / "Caddyfile").read_text()

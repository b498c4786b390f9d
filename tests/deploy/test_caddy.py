"""The Caddyfile, with a real Caddy and a real platform behind it: TLS, limits, times, and what is kept inside."""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack

import httpx
import pytest
from tests.deploy.front import PHONE, WAIT_S, Front, changed
from tests.deploy.programs import DEPLOY, program
from tests.slow import SLOW, STOP_S, served_until_all_are_let_go
from tests.smuggling import CANARY, CORPUS, INNER, WHOLE

from unbroken import wire
from unbroken.clock import SystemClock
from unbroken.sdk import Config, Device, Location, Sdk, Secret, Storage
from unbroken.server.settings import Settings

LIMIT_BYTES = wire.BODY_MAX_BYTES


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


def test_the_platform_is_told_the_address_that_caddy_saw_and_none_that_a_caller_wrote(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        front = Front(tmp_path, DEPLOY / "Caddyfile")
        front.platform = Silent(upstream)
        heads = []
        answering = threading.Thread(target=answer, args=(upstream, heads), daemon=True)
        answering.start()
        with front.running():
            front.call("GET", "/v2/users", **{"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"})
    (head,) = [head for head in heads if b"/v2/users" in head]
    assert re.search(rb"(?i)\r\nx-forwarded-for: (127\.0\.0\.1|::1)\r\n", head)
    assert head.lower().count(b"forwarded") == 1
    assert b"203.0.113.7" not in head


def test_callers_behind_it_are_limited_each_by_its_own_address(tmp_path):
    """Before this Caddy stands another proxy, so that callers from elsewhere can be had on one machine."""
    text = (
        (DEPLOY / "Caddyfile")
        .read_text()
        .replace("max_header_size", "trusted_proxies static 127.0.0.1 ::1\n\t\tmax_header_size")
    )
    (tmp_path / "Caddyfile").write_text(text)
    limits = {"trusted_proxies": "127.0.0.1,::1", "limit_address": "1", "limit_address_registrations": "1"}
    with Front(tmp_path, tmp_path / "Caddyfile", **limits).running() as front:

        def register(address):
            sent = {"Authorization": front.basic, "X-Forwarded-For": address}
            return front.call("POST", "/sdk/installs", json.dumps(PHONE), **sent)

        replies = [register("203.0.113.7") for _ in range(12)]
        assert [reply.status for reply in replies] == [201] * 10 + [429] * 2
        assert int(replies[-1].headers["Retry-After"]) <= 60
        assert register("127.0.0.1, 203.0.113.7").status == 429
        assert register("203.0.113.8").status == 201
        assert register("127.0.0.1").status == 201


def test_no_request_comes_out_of_another_one(front):
    before = canaries(front)
    with ExitStack() as stack:
        callers = [stack.enter_context(front.connect()) for _ in CORPUS | WHOLE]
        for caller, request in zip(callers, (CORPUS | WHOLE).values(), strict=True):
            caller.sendall(request)
        drain(callers)
    assert canaries(front) == before


def test_what_is_for_the_inside_is_refused_also_behind_another_request(front):
    with front.connect() as caller:
        caller.sendall(INNER + INNER)
        assert drain([caller]).count(b"HTTP/1.1 404") == 2
    assert canaries(front) == 0


def canaries(front):
    """How often the platform has seen the inner request."""
    page = httpx.get(f"{front.platform.base_url}/metrics").text
    return sum(
        int(float(line.split()[-1])) for line in page.splitlines() if f'requests_total{{route="{CANARY}"' in line
    )


def drain(callers):
    """All that comes, until nobody has heard anything for two seconds: half a request waits much longer."""
    answers, waiting = b"", set(callers)
    while waiting and (ready := select.select(waiting, [], [], 2.0)[0]):
        for caller in ready:
            try:
                more = caller.recv(65_536)
            except (ConnectionError, ssl.SSLError):
                more = b""
            answers += more
            waiting -= set() if more else {caller}
    return answers


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


def sending(stack, front, sent):
    caller = stack.enter_context(front.connect())
    caller.sendall(sent)
    return caller


def test_slow_callers_are_hung_up_on_and_good_ones_are_all_served(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBROKEN_BODY_TIMEOUT_S", "1")
    hurried = changed(tmp_path, read_header="1s", read_body="3s", idle="1s")
    with Front(tmp_path, hurried).running() as front, ExitStack() as stack:
        token = front.token()

        def serve():
            assert front.call("GET", "/sdk/install", Authorization=token).status == 200

        assert served_until_all_are_let_go([sending(stack, front, sent) for sent in SLOW], serve) > 10


def test_a_stop_waits_for_none_of_them(tmp_path):
    with Front(tmp_path, DEPLOY / "Caddyfile").running() as front, ExitStack() as stack:
        for sent in SLOW:
            sending(stack, front, sent)
        assert front.call("GET", "/sdk/install").status == 401
        for stop in (front.stop, front.platform.stop):
            began = time.monotonic()
            stop()
            assert time.monotonic() - began < STOP_S


def test_the_times_of_caddy_agree_with_those_of_the_platform():
    text, ours = (DEPLOY / "Caddyfile").read_text(), Settings()

    def in_s(name):
        (found,) = re.findall(rf"(?m)^\s*{name} (\d+)s", text)
        return float(found)

    assert (in_s("read_header"), in_s("idle")) == (ours.head_timeout_s, ours.keep_alive_s)
    assert in_s("read_body") > ours.body_timeout_s
    assert in_s("write_idle") == ours.reply_timeout_s
    assert in_s("keepalive") < ours.keep_alive_s, "or a request is sent into a connection that is being closed"


def test_the_caddyfile_is_formatted():
    done = subprocess.run([program("caddy"), "fmt", str(DEPLOY / "Caddyfile")], capture_output=True, check=False)
    assert done.stdout.decode() == (DEPLOY / "Caddyfile").read_text()

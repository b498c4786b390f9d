"""The attack suite on a real platform, and on platforms with one mistake each."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.end_to_end.attack import broken_build

from unbroken.attack import NotProven, Wanted, run_suite
from unbroken.attack.attack import Verdict
from unbroken.attack.report import as_json, as_markdown
from unbroken.clock import SystemClock
from unbroken.consent import Warrant, read_warrant
from unbroken.randomness import SystemRandomness
from unbroken.testing.member import Site
from unbroken.testing.process import PlatformProcess

HURRIED = {f"{name}_s": "1" for name in ("head_timeout", "body_timeout", "reply_timeout", "keep_alive")}
PATIENCE_S = 10.0
PAIRS = 150


@contextmanager
def served(tmp_path, mistake=None, database_url=None, **settings):
    launcher = [sys.executable, str(Path(broken_build.__file__)), mistake] if mistake else []
    site = Site(prefix=launcher)
    with PlatformProcess(
        tmp_path / "data", lab=False, settings=HURRIED | settings, site=site, database_url=database_url
    ) as platform:
        yield platform


def warrant_of(platform, tmp_path) -> Warrant:
    path = tmp_path / "warrant.json"
    platform.command("attack", "prepare", "--warrant", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    found = read_warrant(path.read_bytes())
    assert found is not None
    return found


def attack(platform, warrant, *only, url=None):
    wanted = Wanted(url or platform.base_url, only, PATIENCE_S, PAIRS)
    return asyncio.run(run_suite(wanted, warrant, SystemClock(), SystemRandomness(), lambda _: None))


def told(report, verdict):
    return [f"{one.attack.id}: {one.what}" for one in report.of(verdict)]


def assert_all_held(report):
    assert told(report, Verdict.SUCCEEDED) == []
    assert told(report, Verdict.UNJUDGED) == []


def test_nothing_succeeds_on_the_real_platform(tmp_path):
    with served(tmp_path) as platform:
        report = attack(platform, warrant_of(platform, tmp_path))
        assert_all_held(report)
        assert len(report.outcomes) >= 400
        ids = [one.attack.id for one in report.outcomes]
        assert len(ids) == len(set(ids))
        assert all(one.attack.wins and one.attack.defence and one.what for one in report.outcomes)
        assert as_json(report)["held"] == len(ids)
        assert f"{len(ids)} attacks: {len(ids)} held, 0 succeeded." in as_markdown(report)
        output = platform.output()
    assert "internal error" not in output
    assert_log_is_clean(output)


def assert_log_is_clean(output):
    """Every line that is not of the start is one JSON object, without a credential or a control character."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    assert len(lines) > 400
    for line in lines:
        msgspec.json.Decoder(dict).decode(line)
    assert "unb_key_" not in output
    assert "forged" not in output
    assert "\x1b" not in output


@pytest.mark.prove
def test_nothing_succeeds_on_postgresql(tmp_path, schemas):
    with served(tmp_path, database_url=schemas.create()) as platform:
        assert_all_held(attack(platform, warrant_of(platform, tmp_path)))


CAUGHT_BY = {
    "tenant_filter_off_in_one_read": "mirror/get-v2-users-user_id",
    "foreign_id_answers_403": "mirror",
    "scope_check_off": "scopes",
    "code_read_then_written": "races/code",
    "ticket_unchecked": "replays",
    "no_body_limit": "bombs/large/upload",
    "revoked_key_accepted": "credentials",
    "secret_compared_with_nothing": "credentials",
    "decompression_unlimited": "bombs/anybody",
    "head_deadline_off": "slow/half-a-head",
    "trailers_are_headers": "framing",
    "old_phone_reads_on": "scopes",
    "spent_credential_renews": "replays",
    "install_key_unasked": "replays",
    "stack_in_refusals": "disclosure",
}


@pytest.mark.parametrize("mistake", CAUGHT_BY)
def test_a_platform_with_one_mistake_is_caught(tmp_path, mistake):
    with served(tmp_path, mistake) as platform:
        report = attack(platform, warrant_of(platform, tmp_path), CAUGHT_BY[mistake])
    assert report.of(Verdict.SUCCEEDED), told(report, Verdict.UNJUDGED)


def test_every_mistake_is_tried():
    assert CAUGHT_BY.keys() == broken_build.MISTAKES.keys()


# Whom it attacks


class Stranger:
    """A host that is nobody's platform, and keeps what it is sent."""

    def __init__(self, reply: bytes) -> None:
        self.got: list[bytes] = []
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                self.got.append(line.recv(1 << 16))
                line.sendall(self._reply)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


PROOF = b'{"proof":"%b"}' % (b"0" * 64)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PROOF), PROOF),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"",
    ],
)
def test_a_host_that_does_not_prove_itself_is_sent_one_request_without_a_credential(tmp_path, reply):
    with served(tmp_path) as platform, Stranger(reply) as stranger:
        warrant = warrant_of(platform, tmp_path)
        with pytest.raises(NotProven):
            attack(platform, warrant, url=stranger.url)
    assert len(stranger.got) == 1
    assert stranger.got[0].startswith(b"GET /.well-known/unbroken-attack?stamp=")
    assert b"unb_" not in stranger.got[0]
    assert warrant.key.hex().encode() not in stranger.got[0]


def test_a_warrant_of_another_platform_is_worth_nothing(tmp_path):
    with served(tmp_path / "one") as one, served(tmp_path / "other") as other:
        warrant = warrant_of(one, tmp_path)
        with pytest.raises(NotProven):
            attack(other, warrant)
        attack(one, warrant, "races")


def test_a_warrant_that_was_taken_back_is_worth_nothing(tmp_path):
    with served(tmp_path) as platform:
        warrant = warrant_of(platform, tmp_path)
        platform.command("attack", "end", "--warrant", str(tmp_path / "warrant.json"))
        with pytest.raises(NotProven):
            attack(platform, warrant)


def test_a_lab_is_not_attacked(tmp_path):
    with PlatformProcess(tmp_path / "data") as lab, pytest.raises(NotProven, match="lab"):
        attack(lab, warrant_of(lab, tmp_path))

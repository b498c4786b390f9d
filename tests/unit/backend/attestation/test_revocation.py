"""The list of revoked keys: bounded in size and age, and never taken for empty."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from unbroken.backend.attestation import Reason, Refused
from unbroken.backend.attestation import revocation as module
from unbroken.backend.attestation.revocation import AGE_MAX_MS, FetchedRevocations, RevocationList, read_revocation_list
from unbroken.testing.attestation.android import KeyRoots
from unbroken.testing.attestation.play import Play
from unbroken.testing.attestation.server import STATUS_PATH, GoogleServer

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
LIST = b'{"entries": {"c35747a084470c3135aeefe2b8d40cd6": {"status": "REVOKED", "reason": "KEY_COMPROMISE"}}}'


@pytest.fixture
def google():
    with GoogleServer(Play(), KeyRoots(NOW_MS)) as server:
        yield server


def code_of(judge, *args):
    with pytest.raises(Refused) as caught:
        judge(*args)
    return caught.value.code


def test_a_listed_serial_is_refused_whatever_its_status():
    serials = [0x1, 0xC35747A084470C3135AEEFE2B8D40CD6]
    for status in (b"REVOKED", b"SUSPENDED", b"WHATEVER"):
        read = read_revocation_list(LIST.replace(b"REVOKED", status), NOW_MS)
        assert code_of(read.require_valid, serials, NOW_MS) == Reason.REVOKED
        read.require_valid(serials[:1], NOW_MS)


@pytest.mark.parametrize("written", [b"C35747", b"0c35747", b"000C35747"])
def test_a_serial_is_the_same_however_it_is_written(written):
    read = read_revocation_list(LIST.replace(b"c35747", written), NOW_MS)
    assert code_of(read.require_valid, [0xC35747A084470C3135AEEFE2B8D40CD6], NOW_MS) == Reason.REVOKED


@pytest.mark.parametrize("age_ms", [0, AGE_MAX_MS, -300_000])
def test_a_list_is_used_for_a_day_and_by_calls_that_waited_for_it(age_ms):
    RevocationList(frozenset(), NOW_MS - age_ms).require_valid([1], NOW_MS)


@pytest.mark.parametrize("age_ms", [AGE_MAX_MS + 1, -300_001])
def test_an_older_list_and_one_from_the_future_refuse_every_key(age_ms):
    old = RevocationList(frozenset(), NOW_MS - age_ms)
    assert code_of(old.require_valid, [1], NOW_MS) == Reason.REVOCATION_LIST_STALE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"entries": []}',
        b'{"entries": {"1": "REVOKED"}}',
        b'{"entries": {"1": {}}}',
        LIST[:-2],
        LIST.replace(b"c35747", b"0xc3"),
        LIST.replace(b"c35747", b"-c3574"),
        LIST.replace(b"c35747", b"c_3574"),
        b'{"entries": {"": {"status": "REVOKED"}}}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda body: str(body[:30]),
)
def test_what_is_no_list_is_not_taken_for_an_empty_one(body):
    with pytest.raises(ValueError, match=r"list|serial"):
        read_revocation_list(body, NOW_MS)


def test_a_list_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "SIZE_MAX_BYTES", len(LIST))
    assert read_revocation_list(LIST, NOW_MS).serials
    with pytest.raises(ValueError, match="too large"):
        read_revocation_list(LIST + b" ", NOW_MS)


def test_the_list_is_fetched_once_an_hour(google):
    asked = []
    google.answer = lambda path, *_: asked.append(path) or (200, LIST)
    fetched = FetchedRevocations(f"{google.url}{STATUS_PATH}")
    for at_ms in (NOW_MS, NOW_MS + 1, NOW_MS + HOUR_MS - 1):
        assert fetched.current(at_ms).fetched_at_ms == NOW_MS
    assert asked == [STATUS_PATH]
    assert fetched.current(NOW_MS + HOUR_MS).fetched_at_ms == NOW_MS + HOUR_MS


FAULTS = [503, 404, 302, "garbage", "cut", "huge", "compressed", "broken off", "silent", "closed"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_list_that_cannot_be_fetched_fails_closed_when_the_last_one_is_a_day_old(google, monkeypatch, caplog, fault):
    fetched = FetchedRevocations(f"{google.url}{STATUS_PATH}", timeout_s=5)
    assert fetched.current(NOW_MS).fetched_at_ms == NOW_MS
    break_(google, fault, monkeypatch)
    kept = fetched.current(NOW_MS + AGE_MAX_MS)
    assert kept.fetched_at_ms == NOW_MS
    assert caplog.messages[0].startswith("the list of revoked keys could not be fetched: ")
    kept.require_valid([1], NOW_MS + AGE_MAX_MS)
    late = NOW_MS + AGE_MAX_MS + 60_001
    assert code_of(lambda: fetched.current(late).require_valid([1], late)) == Reason.REVOCATION_LIST_STALE


def break_(google, fault, monkeypatch):
    if fault == "closed":
        google.close()
        monkeypatch.setattr(google, "close", lambda: None)
    elif fault in STREAMS:
        monkeypatch.setattr(module, "ask", with_stream(module.ask, *STREAMS[fault]))
    else:
        bodies = {"garbage": b"<html>", "cut": LIST[:-2], "huge": b" " * (module.SIZE_MAX_BYTES + 1)}
        google.answer = lambda *_: (fault, LIST) if isinstance(fault, int) else (200, bodies[fault])


class Ending(httpx.SyncByteStream):
    """Half the list, and then this error."""

    def __init__(self, error):
        self._error = error

    def __iter__(self):
        yield LIST[: len(LIST) // 2]
        raise self._error("nothing more came")


STREAMS = {
    "compressed": (httpx.ByteStream(LIST), {"Content-Encoding": "gzip"}),
    "broken off": (Ending(httpx.RemoteProtocolError), {}),
    "silent": (Ending(httpx.ReadTimeout), {}),
}


def with_stream(ask, stream, headers):
    """The list's server, whose reply is this stream."""

    def ask_it(client, request, most_bytes, limit_s):
        reply = httpx.Response(200, headers=headers, stream=stream)
        return ask(httpx.Client(transport=httpx.MockTransport(lambda _: reply)), request, most_bytes, limit_s)

    return ask_it


def test_a_list_that_was_never_fetched_refuses_every_key(google):
    google.statuses[STATUS_PATH] = 503
    fetched = FetchedRevocations(f"{google.url}{STATUS_PATH}")
    assert code_of(fetched.current, NOW_MS) == Reason.REVOCATION_LIST_STALE
    del google.statuses[STATUS_PATH]
    assert code_of(fetched.current, NOW_MS + 59_999) == Reason.REVOCATION_LIST_STALE
    assert fetched.current(NOW_MS + 60_000).serials == frozenset()


def test_one_thread_fetches_and_the_others_do_not_wait_for_it(google):
    begun, may_end, asked = threading.Event(), threading.Event(), []

    def slow(path, *_):
        asked.append(path)
        if len(asked) > 1:
            begun.set()
            may_end.wait(20)
        return 200, LIST

    google.answer = slow
    fetched = FetchedRevocations(f"{google.url}{STATUS_PATH}", timeout_s=20)
    fetched.current(NOW_MS)
    with ThreadPoolExecutor(1) as thread:
        fetching = thread.submit(fetched.current, NOW_MS + HOUR_MS)
        assert begun.wait(20)
        assert fetched.current(NOW_MS + HOUR_MS).fetched_at_ms == NOW_MS
        may_end.set()
        assert fetching.result(20).fetched_at_ms == NOW_MS + HOUR_MS


def test_a_list_is_not_fetched_over_the_open_network():
    with pytest.raises(ValueError, match="loopback"):
        FetchedRevocations("http://android.googleapis.com/attestation/status")

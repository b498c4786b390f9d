"""Whoever answers may be hostile: replies without an end, that drip, that grow, or that ask for years of silence."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import httpx
import pytest

from unbroken.outgoing import RETRY_AFTER_MAX_S, deadline, reply_of
from unbroken.sdk import InitError, InitIssue
from unbroken.sdk.transport import REPLY_MAX_BYTES

PART = b" " * (64 << 10)


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body without an end; counts what was taken of it."""

    def __init__(self, part):
        self.part = part
        self.taken_bytes = 0

    def __iter__(self):
        while True:
            self.taken_bytes += len(self.part)
            yield self.part

    async def __aiter__(self):
        for part in self:
            yield part


def is_refused(open_sdk, stream, **headers):
    """An init that gets this reply to everything; what its error says."""

    def answer(_):
        return httpx.Response(200, headers=headers, stream=stream)

    with open_sdk(transport=httpx.MockTransport(answer)) as sdk, pytest.raises(InitError) as caught:
        sdk.init()
    assert caught.value.issue is InitIssue.SERVICE_UNREACHABLE
    return caught.value.details


def test_a_reply_without_an_end_is_given_up_at_its_limit(open_sdk):
    stream = Parts(PART)
    assert "8192 KiB" in is_refused(open_sdk, stream)
    assert stream.taken_bytes <= REPLY_MAX_BYTES + len(PART)


def test_a_reply_that_drips_is_given_up_in_time(open_sdk, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    stream = Parts(b" ")
    assert "in time" in is_refused(open_sdk, stream)
    assert stream.taken_bytes <= 32


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip, gzip", "br"])
def test_a_reply_that_would_grow_is_not_unpacked(open_sdk, encoding):
    stream = Parts(PART)
    assert "compressed" in is_refused(open_sdk, stream, **{"Content-Encoding": encoding})
    assert stream.taken_bytes == 0


def test_a_compressed_reply_is_never_asked_for(open_sdk, phone, platform):
    asked = []

    def answer(request):
        asked.append(request.headers["Accept-Encoding"])
        return phone.answer(request)

    with open_sdk(transport=httpx.MockTransport(answer)) as sdk:
        sdk.init()
    assert set(asked) == {"identity"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("86400", RETRY_AFTER_MAX_S),
        ("86401", RETRY_AFTER_MAX_S),
        ("9" * 10, RETRY_AFTER_MAX_S),
        ("9" * 5_000, RETRY_AFTER_MAX_S),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
    ids=lambda value: str(value)[:12],
)
def test_nobody_is_silenced_for_longer_than_a_day(text, seconds):
    assert reply_of(httpx.Response(503, headers={"Retry-After": text}), b"").retry_after_s == seconds

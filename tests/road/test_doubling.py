"""The road itself: it asks at least twice, loses a tenth of the replies, and notices who takes one call for two."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again

import pytest
from tests.model.repeated import REPLIES_LOST, fates
from tests.road.doubling import Road
from tests.road.record import Complaints, Totals, Written, totals

CALLS = 300


class Server:
    """Says how many different calls it took, which it tells apart by their keys: or does not, where it is forgetful."""

    def __init__(self, *, forgetful=False):
        self.requests, self.heard = [], []
        self.forgetful = forgetful

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        self.requests.append((dict(scope["headers"]).get(b"idempotency-key"), body))
        took = len(self.requests if self.forgetful else set(self.requests))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({"took": took}).encode()})


def call(road, server, *chunks, method="POST", path="/v2/users/1/link", query=b"", headers=()):
    """What a caller of `server` hears on this road."""
    parts = [{"type": "http.request", "body": part, "more_body": part is not chunks[-1]} for part in chunks]
    heard = []

    async def receive():
        return parts.pop(0) if parts else await asyncio.Event().wait()

    async def send(message):
        heard.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    asyncio.run(road.carry(server, scope, receive, send))
    start, *bodies = heard
    return start["status"], json.loads(b"".join(message["body"] for message in bodies)), len(parts)


@pytest.fixture
def road(tmp_path):
    return Road(Random(14), Written(tmp_path))


def test_every_request_is_sent_twice_or_more_often_and_a_tenth_of_the_replies_is_lost(tmp_path, road):
    server = Server()
    for number in range(CALLS):
        assert call(road, server, b"%d" % number) == (200, {"took": number + 1}, 0)
    sent = Counter(server.requests)
    assert len(sent) == CALLS
    assert min(sent.values()) == 2 < max(sent.values())
    told = totals(tmp_path)
    assert (told.servers, told.calls, told.sent) == (1, Counter(POST=CALLS), len(server.requests))
    assert told.lost == pytest.approx(told.sent * REPLIES_LOST, rel=0.3)
    assert Complaints(tmp_path).new() == []


def test_the_last_reply_is_heard_and_none_before_it():
    for seed in range(CALLS):
        heard = fates(Random(seed))
        assert len(heard) >= 2
        assert heard[-1]
        assert not any(heard[1:-1])


def test_a_server_that_takes_one_call_for_two_is_noticed(tmp_path, road):
    complaints = Complaints(tmp_path)
    call(road, Server(forgetful=True), b"")
    (told,) = complaints.new()
    assert told.startswith("POST /v2/users/1/link: ")
    assert complaints.new() == []


@pytest.mark.parametrize("asked", [{"method": "GET"}, {"query": b"dry_run=true"}, {"path": "/sdk/payloads"}])
def test_what_may_be_answered_otherwise_each_time_is_not_compared(tmp_path, road, asked):
    call(road, Server(forgetful=True), b"", **asked)
    assert Complaints(tmp_path).new() == []


def test_a_caller_keeps_its_own_key_and_an_upload_needs_none(road):
    server = Server()
    call(road, server, b"", headers=[(b"idempotency-key", b"mine")])
    call(road, server, b"", path="/sdk/payloads")
    assert {key for key, _ in server.requests} == {b"mine", None}


def test_a_body_that_comes_in_parts_is_heard_whole_each_time(road):
    server = Server()
    call(road, server, b"one, ", b"two, ", b"three", method="PUT")
    assert {body for _, body in server.requests} == {b"one, two, three"}


def test_what_a_server_does_not_read_is_not_read_for_it(road):
    async def refusing(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    assert call(road, refusing, b"much", b"more", b"than that") == (413, {}, 2)


def test_what_is_refused_for_now_may_be_answered_otherwise_the_next_time(tmp_path, road):
    statuses = [401, 503, 200, 200, 200, 200]

    async def server(scope, receive, send):
        await send({"type": "http.response.start", "status": statuses.pop(0), "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    for _ in range(2):
        call(road, server, b"")
    assert Complaints(tmp_path).new() == []


def test_a_complaint_is_there_before_the_caller_goes_on(tmp_path, road):
    heard = []

    async def send(message):
        heard.append((message["type"], Complaints(tmp_path).new() != []))

    said = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return said.pop() if said else await asyncio.Event().wait()

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    asyncio.run(road.carry(Server(forgetful=True), scope, receive, send))
    assert heard[-1] == ("http.response.body", True)


@pytest.mark.parametrize("said", [[], [{"type": "http.request", "body": b"", "more_body": False}]])
def test_a_caller_that_went_away_repeats_nothing(tmp_path, road, said):
    told, said = [], list(said)

    async def gone():
        return said.pop() if said else {"type": "http.disconnect"}

    async def server(scope, receive, send):
        told.append(await receive())

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    asyncio.run(road.carry(server, scope, gone, None))
    assert len(told) == 1
    assert (totals(tmp_path).sent, totals(tmp_path).calls) == (1, Counter(POST=1))
    assert Complaints(tmp_path).new() == []


def test_a_record_that_nobody_wrote_tells_of_nothing(tmp_path):
    assert totals(tmp_path) == Totals()
    assert str(Totals(2, Counter(POST=3, GET=1), 9, 1)) == (
        "2 servers, 4 calls (3 of them POSTs), 9 requests, 1 replies lost"
    )

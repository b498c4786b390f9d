"""The load generator counts what a server that stands still did to everybody, not only to those it was serving."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from contextlib import contextmanager
from itertools import repeat

import pytest

from bench import load, open_loop

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class _Server(asyncio.Protocol):
    """Answers at once, but stands still before its 30th reply."""

    stands_still_s = 0.0
    reply = REPLY
    answered = 0

    def __init__(self):
        self.taken = type(self).taken

    def connection_made(self, transport):
        self.transport = transport
        self.taken.add(transport)

    def connection_lost(self, exc):
        self.taken.discard(self.transport)

    def data_received(self, data):
        kind = type(self)
        kind.answered += data.count(b"\r\n\r\n")
        if kind.answered == 30:
            time.sleep(kind.stands_still_s)
        self.transport.write(kind.reply * data.count(b"\r\n\r\n"))


@contextmanager
def serving(**said):
    kind = type("Server", (_Server,), {**said, "taken": set()})
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, kind.taken), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        with warnings.catch_warnings():  # a caller that leaves while it is being taken is closed by nobody else
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


async def _end(server, taken):
    """Leave no connection, nor one that is just being taken: each is a task until it is."""
    server.close()
    while taken or len(asyncio.all_tasks()) > 1:
        for transport in list(taken):
            transport.abort()
        await asyncio.sleep(0)


def test_as_many_requests_are_sent_as_fall_due():
    with serving() as port:
        done = open_loop.run(port, repeat(REQUEST), 200, seconds=0.5, rate=200)
    assert done.requests == pytest.approx(100, abs=2)
    assert done.wall_s >= 0.5


def test_requests_fall_due_evenly_and_the_first_at_once():
    assert [open_loop.due_by(passed_s, 10.0) for passed_s in (0.0, 0.05, 0.1, 0.95, 1.0)] == [1, 1, 2, 10, 11]


def test_all_that_fell_due_while_the_server_stood_still_were_late():
    with serving(stands_still_s=0.5) as port:
        done = open_loop.run(port, repeat(REQUEST), 200, seconds=1.0, rate=100)
    late = [latency for latency in done.latencies_s if latency > 0.2]
    assert len(late) >= 25  # of the fifty that fell due, those that did in its first three tenths


def test_a_closed_loop_sees_only_one_that_was_late():
    with serving(stands_still_s=0.5) as port:
        done = load.run(port, repeat(REQUEST), 200, seconds=1.0, clients=1)
    assert sum(latency >= 0.5 for latency in done.latencies_s) == 1


def test_requests_that_end_end_the_run():
    with serving() as port:
        done = open_loop.run(port, iter([REQUEST] * 7), 200, seconds=30.0, rate=200)
    assert done.requests == 7


@pytest.mark.parametrize("run", [load.run, lambda *given, **named: open_loop.run(*given, rate=50, **named)])
def test_another_answer_than_asked_for_ends_the_run(run):
    with serving(reply=REPLY.replace(b"200 OK", b"503 No")) as port, pytest.raises(load.UnexpectedReply, match="503"):
        run(port, repeat(REQUEST), 200, seconds=5.0)


def test_any_success_is_enough_where_several_are_asked_for():
    with serving(reply=REPLY.replace(b"200 OK", b"202 Ok")) as port:
        assert load.run(port, iter([REQUEST] * 3), None, seconds=5.0, clients=2).requests == 3

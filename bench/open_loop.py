"""The open loop: requests fall due at a given rate, whether those before them were answered or not.

Latency counts from when a request was due, not from when it was sent: one that had to wait for a connection, or for
this generator, was late for whoever asked. Nothing is left out because the server was slow (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import uvloop

from bench.load import Load, UnexpectedReply, start_of_body, start_of_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS: Final = 256
_TICK_S: Final = 0.001
_DRAIN_S: Final = 60.0


def run(port: int, requests: Iterator[bytes], status: int | None, *, seconds: float, rate: float) -> Load:
    """Send `rate` requests a second for so many seconds, evenly; wait for every reply.

    Raises:
        UnexpectedReply: another status, a connection that ended, or replies that never came.
    """
    return uvloop.run(_run(_Schedule(requests, start_of_reply(status), rate, seconds), port))


async def _run(schedule: _Schedule, port: int) -> Load:
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(schedule), "127.0.0.1", port)
    cpu_before_s, schedule.started_s = time.process_time(), time.perf_counter()
    _tick(schedule, loop)
    try:
        await asyncio.wait_for(schedule.done.wait(), schedule.seconds + _DRAIN_S)
    except TimeoutError:
        schedule.fail("The server does not answer any more.")
    wall_s = time.perf_counter() - schedule.started_s
    busy = (time.process_time() - cpu_before_s) / wall_s
    schedule.hang_up()
    if schedule.trouble is not None:
        raise UnexpectedReply(schedule.trouble)
    return Load(wall_s, busy, sorted(schedule.latencies_s), [])


def _tick(schedule: _Schedule, loop: asyncio.AbstractEventLoop) -> None:
    schedule.look(time.perf_counter())
    if not schedule.is_over:
        loop.call_later(_TICK_S, _tick, schedule, loop)


@dataclass(slots=True)
class _Schedule:
    """What is due when, what waits for a connection, and which connections wait."""

    requests: Iterator[bytes]
    start_of_reply: bytes
    rate: float
    seconds: float
    started_s: float = 0.0
    made: int = 0
    due: deque[float] = field(default_factory=deque)
    connections: list[_Connection] = field(default_factory=list)
    idle: list[_Connection] = field(default_factory=list)
    under_way: int = 0
    is_over: bool = False
    trouble: str | None = None
    latencies_s: list[float] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self, now_s: float) -> None:
        """Let fall due what is, and send what can be sent."""
        passed_s = min(now_s - self.started_s, self.seconds)
        for number in range(self.made, due_by(passed_s, self.rate)):
            self.due.append(self.started_s + number / self.rate)
            self.made += 1
        self.is_over |= now_s - self.started_s >= self.seconds
        self.dispatch()

    def dispatch(self) -> None:
        """Send what is due on the connections that are free."""
        while self.due and self.idle:
            request = next(self.requests, None)
            if request is None:
                self.due.clear()
                self.is_over = True
                break
            self.under_way += 1
            self.idle.pop().send(request, self.due.popleft())
        if self.is_over and not self.due and not self.under_way:
            self.done.set()

    def answered(self, connection: _Connection, latency_s: float) -> None:
        """One reply is here."""
        self.under_way -= 1
        self.latencies_s.append(latency_s)
        self.idle.append(connection)
        self.dispatch()

    def fail(self, trouble: str) -> None:
        """End the run."""
        self.trouble = self.trouble or trouble
        self.is_over = True
        self.done.set()

    def hang_up(self) -> None:
        """Leave no connection behind."""
        for connection in self.connections:
            connection.close()


def due_by(passed_s: float, rate: float) -> int:
    """How many requests have fallen due after so long; the first is due at once."""
    return int(passed_s * rate) + 1


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    __slots__ = ("_due_s", "_is_closing", "_rest", "_schedule", "_transport")

    def __init__(self, schedule: _Schedule) -> None:
        self._schedule = schedule
        self._rest = b""
        self._due_s = 0.0
        self._is_closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._schedule.connections.append(self)
        self._schedule.idle.append(self)

    def send(self, request: bytes, due_s: float) -> None:
        self._due_s = due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if start_of_body(data) < 0:
            self._rest = data
            return
        self._rest = b""
        if not data.startswith(self._schedule.start_of_reply):
            self._schedule.fail(data.decode(errors="replace"))
        else:
            self._schedule.answered(self, time.perf_counter() - self._due_s)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closing:
            self._schedule.fail(f"The server hung up: {exc}.")

    def close(self) -> None:
        self._is_closing = True
        self._transport.abort()

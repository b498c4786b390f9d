"""The load generator: clients on connections that stay open, with requests that are ready to send.

In a closed loop, as here, each client sends when it was answered, so a slow server is asked less; `open_loop` has the
other kind.

It parses as little of a reply as it can, so that one core of it is faster than any server under it; how much of its
core it used is part of what it tells.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CLIENTS: Final = 64
_STUCK_S: Final = 60.0
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length: "


class UnexpectedReply(RuntimeError):
    """The server answered otherwise than asked for; the message carries the reply."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run.

    Args:
        wall_s: from the first request to the last reply.
        busy: which part of its core the generator used, 0 to 1.
        latencies_s: of each request, ascending.
        replies: the replies' bodies, where they were to be kept.
    """

    wall_s: float
    busy: float
    latencies_s: list[float]
    replies: list[bytes]

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.latencies_s)

    @property
    def per_s(self) -> float:
        """Requests answered a second."""
        return self.requests / self.wall_s

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the requests stayed under."""
        return self.latencies_s[min(self.requests - 1, int(self.requests * percent / 100))] * 1000


def run(
    port: int,
    requests: Iterable[bytes],
    status: int | None,
    *,
    seconds: float,
    clients: int = CLIENTS,
    keep: bool = False,
) -> Load:
    """Send requests in a closed loop until there are no more, or the time is over.

    Args:
        status: what every reply must say; None: any success.
        keep: keep the bodies of the replies.

    Raises:
        UnexpectedReply: another status, or a connection that ended.
    """
    return uvloop.run(_run(_Drive(iter(requests), start_of_reply(status), keep=keep), port, seconds, clients))


def start_of_reply(status: int | None) -> bytes:
    """How a reply must begin."""
    return b"HTTP/1.1 2" if status is None else b"HTTP/1.1 %d " % status


async def _run(drive: _Drive, port: int, seconds: float, clients: int) -> Load:
    loop = asyncio.get_running_loop()
    cpu_before_s, started_s = time.process_time(), time.perf_counter()
    drive.until_s = started_s + seconds
    for _ in range(clients):
        drive.open += 1
        await loop.create_connection(lambda: _Client(drive), "127.0.0.1", port)
    try:
        await asyncio.wait_for(drive.done.wait(), min(seconds, _STUCK_S) + _STUCK_S)
    except TimeoutError:
        drive.trouble = "The server does not answer any more."
    if drive.trouble is not None:
        drive.hang_up()
        raise UnexpectedReply(drive.trouble)
    wall_s = drive.last_s - started_s
    busy = (time.process_time() - cpu_before_s) / wall_s
    return Load(wall_s, busy, sorted(drive.latencies_s), drive.replies)


@dataclass(slots=True)
class _Drive:
    """What the clients of one run share."""

    requests: Iterator[bytes]
    start_of_reply: bytes
    keep: bool
    until_s: float = 0.0
    last_s: float = 0.0
    open: int = 0
    trouble: str | None = None
    latencies_s: list[float] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    transports: list[asyncio.Transport] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def hang_up(self) -> None:
        """Leave no connection behind."""
        for transport in self.transports:
            transport.abort()

    def fail(self, trouble: str) -> None:
        """End the run."""
        self.trouble = self.trouble or trouble
        self.done.set()


class _Client(asyncio.Protocol):
    """One connection with at most one request under way."""

    __slots__ = ("_drive", "_rest", "_sent_s", "_transport", "_waits")

    def __init__(self, drive: _Drive) -> None:
        self._drive = drive
        self._rest = b""
        self._sent_s = 0.0
        self._waits = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._drive.transports.append(transport)
        self._send_next()

    def _send_next(self) -> None:
        self._sent_s = time.perf_counter()
        request = next(self._drive.requests, None) if self._sent_s < self._drive.until_s else None
        self._waits = request is not None
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        body_at = start_of_body(data)
        if body_at < 0:
            self._rest = data
            return
        self._rest = b""
        drive = self._drive
        drive.last_s = time.perf_counter()
        drive.latencies_s.append(drive.last_s - self._sent_s)
        if not data.startswith(drive.start_of_reply):
            drive.fail(data.decode(errors="replace"))
        elif drive.keep:
            drive.replies.append(data[body_at:])
        self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drive.open -= 1
        if self._waits:
            self._drive.fail(f"The server hung up: {exc}.")
        elif not self._drive.open:
            self._drive.done.set()


def start_of_body(data: bytes) -> int:
    """Where the body of a reply begins; -1 as long as it is not whole."""
    end = data.find(_END_OF_HEAD)
    at = data.find(_LENGTH)
    if end < 0 or at < 0:
        return -1
    start = end + len(_END_OF_HEAD)
    length = int(data[at + len(_LENGTH) : data.index(b"\r\n", at + 2)])
    return start if len(data) - start >= length else -1

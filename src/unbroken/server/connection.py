"""One connection: uvicorn's, with an end to what it waits for, and our shape for what is no HTTP.

uvicorn holds a silent connection, half a head, half a body or a reply that nobody takes for ever; a few thousand of
them would take every file handle. One timer for all connections looks at what each has been waiting for, which costs a
request nothing. What uvicorn would pile up without end (a head, what follows a chunked body, requests sent before
their turn) ends the connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from unbroken.domain.errors import InvalidRequest, TooLarge
from unbroken.server import problems
from unbroken.server.addresses import Addresses, networks
from unbroken.server.reply import WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from unbroken.domain.errors import Refusal
    from unbroken.server.reply import Scope
    from unbroken.server.settings import Settings

HEAD_MAX_BYTES: Final = 64 << 10
HEADERS_MAX: Final = 100
PIPELINED_MAX: Final = 100
"""Requests of one connection that may wait for their turn."""

_LOOK_EVERY_S: Final = 1.0
_STOPPING_LIMIT_S: Final = 1.0
_REASONS: Final = {400: b"Bad Request", 413: b"Content Too Large"}


class NotTaken(Exception):
    """A request that is refused while it is read."""


class Connection(HttpToolsProtocol):
    """See the module."""

    new_request_id: Callable[[], str]  # set by `protocol_class`
    settings: Settings
    addresses: Addresses
    open_from: Counter[bytes]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._from: bytes | None = None
        self._head_bytes = 0
        self._in_head = True
        self._took_body = False
        self._phase: tuple[str, int] = ("", 0)
        self._phase_since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._phase_since_s = self.loop.time()
        limit = self.settings.limit_address_connections
        self._from = self.addresses.of_peer(self.client[0]) if self.client and limit else None
        if self._from is not None:
            self.open_from[self._from] += 1
            if self.open_from[self._from] > limit:
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        if self._from is not None:
            self.open_from[self._from] -= 1
            if not self.open_from[self._from]:
                del self.open_from[self._from]

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. What comes after a head and is no body (chunk sizes, trailers) counts as head."""
        self._took_body = False
        super().data_received(data)
        if self._took_body and not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
            self._refuse(TooLarge("The request head is larger than 64 KiB."))

    def on_message_begin(self) -> None:
        """See `httptools.HttpRequestParser`."""
        if len(self.pipeline) >= PIPELINED_MAX:
            raise NotTaken
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools.HttpRequestParser`. Trailers are dropped: nothing reads them."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._in_head, self._head_bytes = False, 0
        if len(self.headers) > HEADERS_MAX:
            self._refuse(TooLarge(f"The request has more than {HEADERS_MAX} header lines."))
            raise NotTaken
        self.scope[WRITE] = self.write_reply  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See `httptools.HttpRequestParser`."""
        self._took_body, self._head_bytes = True, 0
        super().on_body(body)

    def write_reply(self, scope: Scope, status: int, head: bytes, body: bytes) -> bool:
        """Write a whole reply at once: what uvicorn does with two messages, in half of the time.

        Args:
            scope: of the request that is answered.
            head: the lines of the head, with the blank one at the end; they are ours, so nobody looks at them again.

        Returns:
            Whether it is done. Where it is not that simple, nothing was written: the messages are to be sent.
        """
        cycle: RequestResponseCycle = self.cycle
        is_simple = cycle.scope is scope and cycle.keep_alive and scope["method"] != "HEAD"
        if not is_simple or cycle.response_started or cycle.disconnected or self.flow.write_paused:
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        usual = [b"%b: %b\r\n" % header for header in cycle.default_headers]
        self.transport.write(b"".join((STATUS_LINE[status], *usual, head, body)))
        scope.pop(WRITE, None)  # a connection that is gone must not be held by its own scope
        cycle.message_event.set()
        cycle.on_response()
        return True

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless it was answered already."""
        if not self.transport.is_closing():
            self._refuse(InvalidRequest(msg))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer without the application, and hang up."""
        request_id = self.new_request_id()
        status, body = problems.status_of(refusal), problems.body_of(refusal, request_id)
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %s\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            b"connection: close\r\n\r\n%s" % (status, _REASONS[status], len(body), request_id.encode(), body)
        )
        self.transport.close()

    def close_if_late(self, now_s: float, *, stopping: bool) -> None:
        """Hang up if this connection has waited too long for the same thing."""
        phase = self._waits_for()
        if phase != self._phase:
            self._phase, self._phase_since_s = phase, now_s
            return
        limit_s = self._limit_s(phase[0], stopping=stopping)
        if limit_s is not None and now_s - self._phase_since_s > limit_s:
            self.transport.abort()

    def _limit_s(self, phase: str, *, stopping: bool) -> float | None:
        """How long a phase may last; None where the caller is not who is waited for."""
        match phase:
            case "head":
                return _STOPPING_LIMIT_S if stopping else self.settings.head_timeout_s
            case "body":
                return _STOPPING_LIMIT_S if stopping else self.settings.body_timeout_s
            case "taking":
                return self.settings.reply_timeout_s
            case _:
                return None

    def _waits_for(self) -> tuple[str, int]:
        """What the caller is to do next, and in which request; of a reply, how much of it waits to be taken."""
        untaken_bytes = self.transport.get_write_buffer_size()
        if untaken_bytes:
            return "taking", untaken_bytes
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return "head", 0
        if cycle.response_complete:
            # Between two requests uvicorn's own keep-alive timer runs. Once bytes came it does not: of a next head, or
            # of a body that was refused before its end.
            return ("head", id(cycle)) if self.timeout_keep_alive_task is None else ("idle", id(cycle))
        return ("body", id(cycle)) if cycle.more_body else ("reply", id(cycle))


def protocol_class(settings: Settings, new_request_id: Callable[[], str]) -> type[Connection]:
    """The class that uvicorn makes one of for each connection."""
    bound = {
        "settings": settings,
        "addresses": Addresses(networks(settings.trusted_proxies)),
        "open_from": Counter(),
        "new_request_id": staticmethod(new_request_id),
    }
    return type("BoundConnection", (Connection,), bound)


async def close_late_ones(connections: set[Any], is_stopping: Callable[[], bool]) -> None:
    """Look after all connections, until cancelled. A platform that stops waits for nobody's body."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        for connection in list(connections):
            connection.close_if_late(loop.time(), stopping=is_stopping())

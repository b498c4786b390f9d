"""One request and its whole reply, within bounds of time and size: whoever answers may let it drip, or never end it.

In two shells, for code that blocks and for asyncio; they differ in `await` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from unbroken.outgoing import reply_of
from unbroken.outgoing.deadline import ends_within, is_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unbroken.outgoing import NoReply, Reply

_SLOWEST_BYTES_PER_S: Final = 4 << 10
"""Of a network that is slow and works: the more is sent, the longer it may take."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one exchange may cost.

    Args:
        most_bytes: of the reply's body.
        limit_s: from connecting to the last byte.
    """

    most_bytes: int
    limit_s: float


def patience_s(timeout_s: float, body: bytes) -> float:
    """How long an exchange may take that sends `body`, where one that sends next to nothing may take `timeout_s`."""
    return timeout_s + len(body) // _SLOWEST_BYTES_PER_S


class NotTaken(Exception):
    """A reply is larger than it may be, or compressed: 2 KB may be 2 GB then. It is not read to its end."""


def exchange(
    client: httpx.Client, request: Mapping[str, Any], bounds: Bounds, no_reply: Callable[[Exception], NoReply]
) -> Reply | NoReply:
    """Send, and read the whole reply.

    Args:
        client: on a `TimedTransport`; on another one `limit_s` bounds each wait, and the body, but no head that drips.
        request: the arguments of `client.stream`; its headers are to ask for a reply as it is (`headers_of`).
        no_reply: what an exception of httpx, or `NotTaken`, is as a value.
    """
    try:
        with ends_within(bounds.limit_s), client.stream(**request, timeout=bounds.limit_s) as response:
            body = _Body(response, bounds)
            for part in response.iter_bytes():
                body.add(part)
            return reply_of(response, body.whole())
    except (httpx.TransportError, NotTaken) as error:
        return no_reply(error)


async def exchange_async(
    client: httpx.AsyncClient, request: Mapping[str, Any], bounds: Bounds, no_reply: Callable[[Exception], NoReply]
) -> Reply | NoReply:
    """See `exchange`; here no transport gets round the bound of time."""
    import asyncio  # noqa: PLC0415 - costs code that blocks 40 ms at import and is of no use to it

    try:
        async with asyncio.timeout(bounds.limit_s):
            with ends_within(bounds.limit_s):
                async with client.stream(**request, timeout=_timeouts(bounds.limit_s)) as response:
                    body = _Body(response, bounds)
                    async for part in response.aiter_bytes():
                        body.add(part)
                    return reply_of(response, body.whole())
    except TimeoutError:
        return no_reply(httpx.ReadTimeout(_TOO_LATE))
    except (httpx.TransportError, NotTaken) as error:
        return no_reply(error)


def _timeouts(limit_s: float) -> httpx.Timeout:
    """Connecting and a handshake end by these, before the call is cancelled: httpcore closes no handshake that is."""
    return httpx.Timeout(limit_s, connect=limit_s / 2)


class _Body:
    """The body of a reply as it comes."""

    def __init__(self, response: httpx.Response, bounds: Bounds) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise NotTaken("the reply is compressed, which was not asked for")
        self._parts: list[bytes] = []
        self._most_bytes = self._room_bytes = bounds.most_bytes

    def add(self, part: bytes) -> None:
        """Raises NotTaken, or ReadTimeout."""
        self._room_bytes -= len(part)
        if self._room_bytes < 0:
            raise NotTaken(f"the reply is larger than {self._most_bytes >> 10} KiB")
        if is_over():
            raise httpx.ReadTimeout(_TOO_LATE)
        self._parts.append(part)

    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


_TOO_LATE: Final = "the reply was not complete in time"

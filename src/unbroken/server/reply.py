"""Sending a reply: two ASGI messages, or more where the body comes in parts, with the request id in the first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"
REQUEST_ID: Final = b"x-request-id"
WRITE: Final = "unbroken.write"
"""Under this name in the scope, a connection of ours offers to write a whole reply (`Connection.write_reply`)."""

_USUAL_HEAD: Final = (
    b"x-request-id: %b\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
_EACH: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
STALLED_S: Final = 60.0
"""A caller that takes nothing of a reply for so long is gone: what the reply is made from must not wait for ever."""


class CallerGone(Exception):
    """Nobody takes the rest of a reply."""


async def send_usual(scope: Scope, send: Send, status: int, body: bytes, request_id: str) -> None:
    """Send what most replies are: JSON, and no headers of its own."""
    write = scope.get(WRITE)
    if write is None or not write(scope, status, _USUAL_HEAD % (request_id.encode(), len(body)), body):
        await send_reply(send, status, body, request_id)


async def send_reply(
    send: Send, status: int, body: bytes | None, request_id: str, *, content_type: bytes = JSON, headers: Headers = ()
) -> None:
    """Send a whole reply; `body=None` is a reply without one (204)."""
    await send(head(status, body, request_id, content_type=content_type, headers=headers))
    await send({"type": "http.response.body", "body": body or b""})


def head(
    status: int, body: bytes | None, request_id: str, *, content_type: bytes = JSON, headers: Headers = ()
) -> Message:
    """The first message of a reply whose body is known.

    Replies carry personal data or secrets, so nothing on the way may keep them (`no-store`), and they are what they say
    they are, so that no browser takes what somebody wrote into a name for a page (`nosniff`).
    """
    lines = [(REQUEST_ID, request_id.encode()), *_EACH, *headers]
    if body is not None:
        lines += [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    return {"type": "http.response.start", "status": status, "headers": lines}


async def send_parts(
    send: Send,
    receive: Receive,
    status: int,
    parts: AsyncGenerator[bytes, None],
    request_id: str,
    *,
    content_type: bytes,
    headers: Headers,
) -> None:
    """Send a reply part by part, each once the caller has taken those before it.

    The last message goes out only if `parts` ended by itself, so a reply that broke off is seen to be no whole one.

    Raises:
        CallerGone: `parts` was closed before its end.
        Exception: whatever `parts` raised.
    """
    started = head(status, None, request_id, headers=[*headers, (b"content-type", content_type)])
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        async with aclosing(parts):
            await send(started)
            async for part in parts:
                await _send_part(send, part)
                if gone.done():
                    raise CallerGone
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _send_part(send: Send, part: bytes) -> None:
    try:
        async with asyncio.timeout(STALLED_S):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except TimeoutError:
        raise CallerGone from None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""Sending a reply: two ASGI messages, with the request id in each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"
REQUEST_ID: Final = b"x-request-id"


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

    Replies carry personal data or secrets, so nothing on the way may keep them (`no-store`).
    """
    lines = [(REQUEST_ID, request_id.encode()), (b"cache-control", b"no-store"), *headers]
    if body is not None:
        lines += [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    return {"type": "http.response.start", "status": status, "headers": lines}

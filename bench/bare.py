"""The limit: uvicorn with uvloop and httptools, and an application that does nothing but read, check and answer.

It decodes the same upload into the same types as the platform and answers as many bytes. Nothing is authenticated,
nothing is stored.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec
import uvicorn

from unbroken import wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_DECODER: Final = msgspec.json.Decoder(wire.Upload)
_REPLY: Final = wire.encode(
    wire.UploadResults([wire.PayloadResult("019ab3f0-6f00-7000-8000-0123456789ab", "stored", [])], "active", None)
)
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_REPLY))]
_READY: Final = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
_TAKEN: Final = {"type": "http.response.start", "status": 202, "headers": _HEADERS}
_BODY: Final = {"type": "http.response.body", "body": _REPLY}


async def application(
    scope: dict[str, Any],  # noqa: ARG001 - it answers every request alike
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer one request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if body:
        _DECODER.decode(body)
    await send(_TAKEN if body else _READY)
    await send(_BODY)


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
    )

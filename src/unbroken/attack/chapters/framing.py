"""Requests whose end two servers see in two places (request smuggling), byte for byte over a socket of their own.

Where a proxy stands in front, it may mend them; then what counts is that no other caller gets the hidden reply.

Behind each stands a second request, for the document of the API. If that is answered, what the first server took for a
body was taken for a request by the second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen
from unbroken.attack.exchange import NoReply, Reply, asking, read_reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.world import World

_SILENCE_S: Final = 2.0
_OTHERS: Final = 5
_HIDDEN: Final = b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
_ANSWERED: Final = b'"openapi":'
_SMALL: Final = b"GET /sdk/install HTTP/1.1\r\nHost: x\r\n\r\n"
_CHUNKED: Final = b"0\r\n\r\n" + _HIDDEN
_POST: Final = b"POST /sdk/link HTTP/1.1\r\nHost: x\r\n"
_GET: Final = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"

_TWO_LENGTHS: Final[dict[str, bytes]] = {
    "length-and-chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKED,
    "chunked-and-length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + _CHUNKED,
    "length-zero-and-chunked": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKED,
    "chunked-twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + _CHUNKED,
    "chunked-not-last": b"Transfer-Encoding: chunked, identity\r\n\r\n" + _CHUNKED,
    "chunked-chunked": b"Transfer-Encoding: chunked, chunked\r\n\r\n" + _CHUNKED,
    "xchunked": b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "chunked-in-quotes": b'Transfer-Encoding: "chunked"\r\nContent-Length: 0\r\n\r\n' + _CHUNKED,
    "chunked-after-tab": b"Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n" + _CHUNKED,
    "chunked-after-vertical-tab": b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "chunked-and-nul": b"Transfer-Encoding: chunked\x00\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "space-before-colon": b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "tab-before-colon": b"Transfer-Encoding\t: chunked\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "underscore": b"Transfer_Encoding: chunked\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKED,
    "folded": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "folded-value": b"X: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _CHUNKED,
    "bare-return": b"X: 1\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + _CHUNKED,
    "bare-newline": b"X: 1\nTransfer-Encoding: chunked\nContent-Length: 4\n\n" + _CHUNKED,
    "two-lengths": b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + _HIDDEN,
    "two-equal-lengths": b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + _HIDDEN,
    "length-list": b"Content-Length: 0, 40\r\n\r\n" + _HIDDEN,
    "length-plus": b"Content-Length: +0\r\n\r\n" + _HIDDEN,
    "length-minus": b"Content-Length: -1\r\n\r\n" + _HIDDEN,
    "length-hex": b"Content-Length: 0x0\r\n\r\n" + _HIDDEN,
    "length-empty": b"Content-Length:\r\n\r\n" + _HIDDEN,
    "length-letters": b"Content-Length: zero\r\n\r\n" + _HIDDEN,
    "length-space-inside": b"Content-Length: 0 0\r\n\r\n" + _HIDDEN,
    "length-overflow": b"Content-Length: 18446744073709551616\r\n\r\n" + _HIDDEN,
    "length-in-trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 40\r\n\r\n",
}
"""Heads that name two ends, behind a POST."""

_CHUNKS: Final[dict[str, bytes]] = {
    "size-negative": b"-1\r\n\r\n",
    "size-hex-prefix": b"0x0\r\n\r\n" + _HIDDEN,
    "size-empty": b"\r\n\r\n" + _HIDDEN,
    "size-overflow": b"ffffffffffffffff1\r\n" + _HIDDEN,
    "size-wraps": b"10000000000000000\r\n\r\n" + _HIDDEN,
    "size-space": b"0 0\r\n\r\n" + _HIDDEN,
    "size-newline-only": b"0\n\n" + _HIDDEN,
    "size-return-only": b"0\r\r\n" + _HIDDEN,
    "data-longer": b"1\r\nabc\r\n0\r\n\r\n" + _HIDDEN,
    "no-end-of-data": b"1\r\na0\r\n\r\n" + _HIDDEN,
    "extension-with-newline": b"0;a=\nb\r\n\r\n" + _HIDDEN,
    "extension-long": b"0;" + b"a" * 70_000 + b"\r\n\r\n" + _HIDDEN,
}
"""Chunked bodies that do not end where they say."""

_HEADS: Final[dict[str, bytes]] = {
    "no-host": b"GET /nowhere HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET /nowhere HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host-and-path": b"GET /nowhere HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "nul-in-name": _GET + b"X\x00: 1\r\n\r\n",
    "nul-in-value": _GET + b"X: a\x00b\r\n\r\n",
    "no-colon": _GET + b"X\r\n\r\n",
    "no-name": _GET + b": x\r\n\r\n",
    "space-in-name": _GET + b"X Y: 1\r\n\r\n",
    "space-first": b"GET /nowhere HTTP/1.1\r\n Host: x\r\n\r\n",
    "newlines-only": b"GET /nowhere HTTP/1.1\nHost: x\n\n",
    "return-in-value": _GET + b"X: a\rb\r\n\r\n",
    "version-9": b"GET /nowhere HTTP/0.9\r\nHost: x\r\n\r\n",
    "version-3": b"GET /nowhere HTTP/3.0\r\nHost: x\r\n\r\n",
    "version-words": b"GET /nowhere HTTP/1.1 x\r\nHost: x\r\n\r\n",
    "version-none": b"GET /nowhere\r\n\r\n",
    "version-lower": b"GET /nowhere http/1.1\r\nHost: x\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "nothing-but-zeros": b"\x00" * 64,
    "path-with-space": b"GET /no where HTTP/1.1\r\nHost: x\r\n\r\n",
    "path-with-tab": b"GET /no\twhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "path-with-nul": b"GET /no\x00where HTTP/1.1\r\nHost: x\r\n\r\n",
    "path-without-slash": b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "path-star": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "method-with-return": b"GE\rT /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://evil.example/nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade-h2c": _GET
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "upgrade-websocket": _GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    "expect": _POST + b"Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}",
    "hop-by-hop": _GET + b"Connection: close, Authorization\r\n\r\n",
}
"""Heads that are none: each is refused."""


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for name, head in _TWO_LENGTHS.items():
        yield _sent(world, f"two-ends/{name}", _POST + head)
    for name, chunks in _CHUNKS.items():
        yield _sent(world, f"chunks/{name}", _POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    for name, head in _HEADS.items():
        yield _sent(world, f"heads/{name}", head)
    yield _trailer(world)
    yield _pipelined(world)


def _sent(world: World, name: str, content: bytes) -> Attack:
    async def run() -> Seen:
        replies = await replies_to(world, content)
        return await _others(world) if world.caller.proxied else judge(replies)

    return Attack(
        f"framing/{name}", "a request of one's own on another caller's connection",
        "a refusal, and what follows is no request", run,
    )  # fmt: skip


async def _others(world: World) -> Seen:
    """Whether other callers get their own replies: a proxy may mend a request, but must not mix two callers up."""
    asked = asking("GET", "/v2/users/me", world.me.device.bearer)
    for _ in range(_OTHERS):
        async with world.caller.host.connected() as (reader, writer):
            writer.write(world.caller.host.encoded(asked))
            reply = await read_reply(reader)
        if reply is None or reply.status != 200 or world.me.device.user_id.encode() not in reply.body:
            return Seen(False, f"another caller got {reply}")
    return Seen(True, f"{_OTHERS} other callers got their own replies")


def judge(replies: list[Reply]) -> Seen:
    """Whether nothing but refusals came, and no answer for the request that was hidden."""
    hidden = any(_ANSWERED in reply.body for reply in replies)
    good = all(400 <= reply.status < 500 or reply.status in {501, 505} for reply in replies)
    told = ", ".join(map(str, replies)) or "no reply"
    return Seen(
        good and not hidden and len(replies) <= 1, f"{told}{'; the hidden request was answered' if hidden else ''}"
    )


async def replies_to(world: World, content: bytes) -> list[Reply]:
    """Whatever comes back until the platform hangs up or falls silent. A broken-off reply is none."""
    replies: list[Reply] = []
    content = addressed(world, content)
    async with world.caller.host.connected() as (reader, writer):
        writer.write(content)
        try:
            async with asyncio.timeout(_SILENCE_S):
                while (reply := await read_reply(reader)) is not None:
                    replies.append(reply)
        except (TimeoutError, NoReply, OSError):
            pass
    return replies


def addressed(world: World, content: bytes) -> bytes:
    """For the host that is meant, below the prefix that it has there."""
    host = world.caller.host
    named = content.replace(b"Host: x\r\n", b"Host: %b\r\n" % host.authority.encode())
    return named.replace(b" /", b" %b/" % host.prefix.encode()) if host.prefix else named


def _trailer(world: World) -> Attack:
    """What comes after a body must not count as its head did."""

    async def run() -> Seen:
        trailer = f"Authorization: {world.a.key()}\r\n".encode()
        body = b'{"external_id":"trailer"}'
        content = b"POST /users/auth-code HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        content += b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)
        return judge(await replies_to(world, content))

    return Attack("framing/trailer/authorization", "a credential that a proxy did not see", "trailers are dropped", run)


def _pipelined(world: World) -> Attack:
    """Thousands of requests before the first reply."""

    async def run() -> Seen:
        replies = await replies_to(world, _SMALL * 5_000)
        if world.caller.proxied:  # which takes them one after the other, and lets the platform have one at a time
            return await _others(world)
        return Seen(len(replies) < 5_000, f"{len(replies)} replies")

    return Attack("framing/pipelined", "memory for requests that wait", "a connection may send only so far ahead", run)

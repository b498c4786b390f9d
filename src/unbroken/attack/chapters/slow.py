"""Callers that take their time, each on a file handle. All wait side by side, while others are served."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen
from unbroken.attack.chapters.framing import addressed
from unbroken.attack.exchange import asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.world import World

_CONNECTIONS: Final = 20
_HEAD: Final = b"POST /sdk/payloads HTTP/1.1\r\nHost: x\r\n"
_UNREAD: Final = b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60
_DRIP_S: Final = 0.4


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    authorization = f"Authorization: {world.me.device.bearer}\r\n".encode()
    head = _HEAD + authorization
    starts = {
        "silent": b"",
        "half-a-line": b"GET /sdk/i",
        "half-a-head": b"GET /sdk/install HTTP/1.1\r\nHost: x\r\nX: 1",
        "a-head-without-end": b"GET /sdk/install HTTP/1.1\r\nHost: x\r\n",
        "half-a-body": head + b"Content-Length: 1000\r\n\r\n{",
        "half-a-body-of-nobody": b"POST /sdk/installs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        "half-a-chunk": head + b"Transfer-Encoding: chunked\r\n\r\n100\r\n{",
        "no-last-chunk": head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        "waiting-for-100": head + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
        "idle-after-a-reply": b"GET /sdk/install HTTP/1.1\r\nHost: x\r\n\r\n",
        "half-a-second-head": b"GET /sdk/install HTTP/1.1\r\nHost: x\r\n\r\nGET /sdk",
        "refused-half-a-body": b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    }
    for name, start in starts.items():
        yield _held(world, name, start)
    yield _held(world, "drip-of-a-head", b"GET /sdk/install HTTP/1.1\r\nHost: x\r\nX: ", drip=b"a")
    yield _held(world, "drip-of-headers", b"GET /sdk/install HTTP/1.1\r\nHost: x\r\n", drip=b"X-A: b\r\n")
    yield _held(world, "drip-of-a-body", head + b"Content-Length: 1000000\r\n\r\n", drip=b" ")
    yield _held(world, "drip-of-chunks", head + b"Transfer-Encoding: chunked\r\n\r\n", drip=b"1\r\n \r\n")
    yield _unread(world)
    yield _others_are_served(world)


def _held(world: World, name: str, start: bytes, drip: bytes = b"") -> Attack:
    """Some connections that begin so and then say no more, or drip."""

    async def run() -> Seen:
        started_s = perf_counter()
        closed = await asyncio.gather(*(_closed(world, start, drip) for _ in range(_CONNECTIONS)))
        took_s = perf_counter() - started_s
        return Seen(all(closed), f"{sum(closed)} of {len(closed)} were closed within {took_s:.0f} s")

    return Attack(f"slow/{name}", "a file handle for each packet", f"all closed within {world.patience_s:g} s", run)


async def _closed(world: World, start: bytes, drip: bytes) -> bool:
    """Whether the platform hung up before our patience ended."""
    async with world.caller.host.connected() as (reader, writer):
        writer.write(addressed(world, start))
        dripping = asyncio.create_task(_drip(writer, drip)) if drip else None
        try:
            async with asyncio.timeout(world.patience_s):
                while await reader.read(1 << 16):
                    pass
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            if dripping is not None:
                dripping.cancel()
    return True


async def _drip(writer: asyncio.StreamWriter, drip: bytes) -> None:
    while not writer.is_closing():
        writer.write(drip)
        await asyncio.sleep(_DRIP_S)


def _unread(world: World) -> Attack:
    """Replies that nobody takes: the platform hangs up before it has sent them all."""

    async def one() -> bool:
        asked = _UNREAD * 40
        async with world.caller.host.connected() as (reader, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(addressed(world, asked))
            await asyncio.sleep(world.patience_s)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            taken = 0
            while part := await _part(reader):
                taken += len(part)
        return taken < 2_400 * 10_000

    async def run() -> Seen:
        closed = await asyncio.gather(*(one() for _ in range(_CONNECTIONS // 4)))
        return Seen(all(closed), f"{sum(closed)} of {len(closed)} were closed")

    return Attack("slow/unread-replies", "memory for replies that wait", "who takes nothing is hung up on", run)


async def _part(reader: asyncio.StreamReader) -> bytes:
    """What comes within a second; nothing where the platform hung up, or has no more to say."""
    try:
        async with asyncio.timeout(1):
            return await reader.read(1 << 16)
    except (TimeoutError, OSError):
        return b""


def _others_are_served(world: World) -> Attack:
    """While all those hold their connections, an honest caller gets his answers."""

    async def run() -> Seen:
        slowest_s = 0.0
        for _ in range(20):
            started_s = perf_counter()
            reply = await world.caller.send(asking("GET", "/sdk/install", world.me.device.bearer))
            slowest_s = max(slowest_s, perf_counter() - started_s)
            if reply.status != 200:
                return Seen(False, str(reply))
            await asyncio.sleep(0.1)
        return Seen(slowest_s < 5, f"the slowest took {slowest_s:.2f} s")

    return Attack("slow/others-are-served", "a platform that serves nobody else", "honest callers in 5 s", run)

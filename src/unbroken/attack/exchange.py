"""HTTP/1.1 by hand: an attacker must be able to send what no client library would, byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

HEAD_MAX_BYTES: Final = 256 << 10
TIMEOUT_S: Final = 30.0
_TOO_MANY: Final = 429
_WAITS_MAX: Final = 10
_WITHOUT_BODY: Final = frozenset({204, 304})


class NoReply(Exception):
    """The host hung up, or said nothing in time."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. The target goes out as it is; header values in Latin-1. Of a body its length is told."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def having(self, *headers: tuple[str, str]) -> Request:
        """The same with more headers."""
        return replace(self, headers=(*self.headers, *headers))

    def encoded(self, host: str) -> bytes:
        """What goes over the connection."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        named = {name.lower() for name, _ in self.headers}
        if (self.body or self.method in {"POST", "PUT"}) and not named & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


def asking(method: str, target: str, authorization: str | None = None, body: Any = None, **headers: str) -> Request:
    """A usual request; `body` goes as JSON, or as it is where it is bytes."""
    pairs = [("Authorization", authorization)] if authorization is not None else []
    pairs += [(name.replace("_", "-"), value) for name, value in headers.items()]
    if body is None:
        return Request(method, target, tuple(pairs))
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    return Request(method, target, tuple(pairs), body if isinstance(body, bytes) else json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; names of headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The `errorCode`; empty where there is none."""
        found = self.json
        return str(found.get("errorCode", "")) if isinstance(found, dict) else ""

    def header(self, name: str) -> str:
        """The first header of that name; empty where there is none."""
        return next((value for known, value in self.headers if known == name), "")

    @property
    def is_of_a_proxy(self) -> bool:
        """Whether something in front refused by itself: each reply of the platform has a reference."""
        return self.status >= 400 and not self.header("x-request-id")

    @property
    def is_too_soon(self) -> bool:
        """Whether a limit of requests refused, which says nothing about any other defence."""
        return self.status == _TOO_MANY and self.code == "RATE_LIMITED"

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


@dataclass(frozen=True, slots=True)
class Host:
    """Where the platform listens.

    Args:
        prefix: what stands before every path, where a proxy put the platform under one.
    """

    name: str
    port: int
    tls: ssl.SSLContext | None = None
    prefix: str = ""

    @property
    def authority(self) -> str:
        """As `Host` says it."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    def encoded(self, request: Request) -> bytes:
        """What goes over a connection to this host."""
        target = request.target if request.target.startswith("http") else self.prefix + request.target
        return replace(request, target=target).encoded(self.authority)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection of one's own, closed at the end whatever happened."""
        reader, writer = await self.connect()
        try:
            yield reader, writer
        finally:
            await hang_up(writer)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection.

        Raises:
            NoReply: nobody listens there.
        """
        try:
            opening = asyncio.open_connection(self.name, self.port, ssl=self.tls, limit=HEAD_MAX_BYTES)
            return await asyncio.wait_for(opening, TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            raise NoReply(f"{self.authority} takes no connection: {error}") from error


def host_of(url: str) -> Host:
    """The host that a URL names.

    Raises:
        ValueError: it is no http or https URL, or carries a user, a query or a fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not the http or https URL of a platform.")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    return Host(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is."""
    writer.close()
    with suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


async def read_reply(reader: asyncio.StreamReader, method: str = "GET") -> Reply | None:
    """The next reply on a connection; None where it was closed before one began.

    Raises:
        NoReply: it breaks off, or is no HTTP.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise NoReply("The reply broke off in its head.") from error
        return None
    except (OSError, asyncio.LimitOverrunError) as error:
        raise NoReply(f"The reply broke off: {error}") from error
    reply = _read_head(head)
    if reply.status < 200:
        return await read_reply(reader, method)
    try:
        return replace(reply, body=b"" if method == "HEAD" else await _read_body(reader, reply))
    except (asyncio.IncompleteReadError, OSError, ValueError) as error:
        raise NoReply("The reply broke off in its body.") from error


def _read_head(head: bytes) -> Reply:
    first, *lines = head.decode("latin-1")[:-4].split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not re.fullmatch(r"[1-5][0-9]{2}", words[1]):
        raise NoReply(f"This is no reply of HTTP/1.1: {first[:60]!r}")
    pairs = [line.partition(":") for line in lines]
    return Reply(int(words[1]), tuple((name.lower(), value.strip()) for name, _, value in pairs))


async def _read_body(reader: asyncio.StreamReader, reply: Reply) -> bytes:
    if reply.status in _WITHOUT_BODY:
        return b""
    if reply.header("transfer-encoding").lower() == "chunked":
        return await _read_chunks(reader)
    length = reply.header("content-length")
    return await reader.readexactly(int(length)) if length else await reader.read()


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)


class Caller:
    """Sends requests over connections that are used again.

    Args:
        proxied: something stands in front of the platform, and may refuse by itself, in its own words.

    A 429 is waited out, as an attacker would: a limit of requests must not look like a defence against something else.
    """

    def __init__(self, host: Host, *, proxied: bool = False) -> None:
        self.host = host
        self.proxied = proxied
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, request: Request, timeout_s: float = TIMEOUT_S) -> Reply:
        """The reply to a request.

        Raises:
            NoReply: none came.
        """
        for _ in range(_WAITS_MAX):
            reply = await self._send(request, timeout_s)
            if not reply.is_too_soon:
                return reply
            waits = reply.header("retry-after")
            await asyncio.sleep(min(int(waits) if waits.isdigit() else 1, 30))
        raise NoReply("The host would only answer 429 RATE_LIMITED.")

    async def close(self) -> None:
        """Hang up."""
        while self._idle:
            await hang_up(self._idle.pop()[1])

    async def _send(self, request: Request, timeout_s: float) -> Reply:
        content = self.host.encoded(request)
        while self._idle:
            reader, writer = self._idle.pop()
            reply = await self._over(reader, writer, content, request.method, timeout_s)
            if reply is not None:
                return reply  # else it was closed while it idled: the request was not taken
        reader, writer = await self.host.connect()
        reply = await self._over(reader, writer, content, request.method, timeout_s)
        if reply is None:
            raise NoReply("The host hung up without a word.")
        return reply

    async def _over(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes, method: str, timeout_s: float
    ) -> Reply | None:
        reply = None
        try:
            writer.write(content)
            async with asyncio.timeout(timeout_s):
                reply = await read_reply(reader, method)
        except TimeoutError as error:
            raise NoReply(f"Nothing came within {timeout_s:g} s.") from error
        except OSError:
            return None
        finally:
            if reply is None or reply.header("connection").lower() == "close" or reader.at_eof():
                await hang_up(writer)
            else:
                self._idle.append((reader, writer))
        return reply


def with_query(path: str, query: Mapping[str, str]) -> str:
    """A target from a path and parameters, percent-encoded."""
    return f"{path}?{urlencode(query)}" if query else path

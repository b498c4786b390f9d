"""The two thin shells around a call: send, wait, send again, read. They differ in `await` only.

TLS comes in as an `ssl.SSLContext`. No reply becomes a value (`NoReply`) before it becomes an error, so that an error a
developer logs has no frame of the HTTP client in it, where the key is in the clear.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import httpx

from unbroken.backend.errors import InvalidConfig
from unbroken.backend.exchange import ApiRequest, Call, Heard, Page, result_of
from unbroken.backend.retry import Attempts, Retry
from unbroken.clock import Clock, SystemClock
from unbroken.outgoing import check_base_url, client_arguments, headers_of, no_reply
from unbroken.outgoing.deadline import TimedTransport
from unbroken.outgoing.exchange import Bounds, exchange, exchange_async, patience_s
from unbroken.randomness import Randomness, SystemRandomness

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

T = TypeVar("T")

REPLY_MAX_BYTES: Final = 64 << 20
"""Far above any reply of the platform: a page of the largest items there may be has 6 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What rarely needs another value.

    Args:
        timeout_s: how long one try may take, from connecting to the last byte of the reply, and a second more for every
            4 KiB it sends. Where the code blocks, resolving the name has the system's own limits.
        retry: when a call is tried again.
        ssl_context: the TLS to use; the system's CA store and host name check if left out.
        transport: an `httpx` transport in place of the network: blocking for `Platform`, async for `AsyncPlatform`. A
            blocking one is to see to heads of replies that drip.
        headers: further headers, asked anew for every try.
        clock: tells the time, for idempotency keys.
        randomness: makes idempotency keys and jitter.
    """

    timeout_s: float = 10.0
    retry: Retry = field(default_factory=Retry)
    ssl_context: ssl.SSLContext | None = None
    transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None
    headers: Callable[[], Mapping[str, str]] | None = None
    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)

    def new_id(self) -> str:
        """A UUID: the idempotency key of one logical call, which its tries share, or the `ref` of an answer."""
        return self.randomness.uuid(self.clock.now_ms())


class ApiKey:
    """An API key that no `repr`, log line, traceback or pickle shows. It goes into a request as that is sent."""

    __slots__ = ("_header",)

    def __init__(self, text: str) -> None:
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise InvalidConfig("the API key is empty or has characters that no key has")
        self._header = f"Bearer {text}"

    def derive(self, purpose: bytes) -> bytes:
        """32 bytes that every process with this key gets for this purpose, and that tell nothing of the key."""
        return hmac.digest(self._header.encode(), purpose, "sha256")

    def __call__(self, request: httpx.Request) -> httpx.Request:
        """Authorize a request, as httpx asks it."""
        request.headers["Authorization"] = self._header
        return request

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled")


class Connection:
    """One httpx client for code that blocks; may be used by many threads."""

    def __init__(self, base_url: str, api_key: ApiKey, options: Options) -> None:
        check_url(base_url)
        if options.transport is not None and not isinstance(options.transport, httpx.BaseTransport):
            raise InvalidConfig("Platform needs a blocking httpx transport")
        self.options = options
        self.derive = api_key.derive
        transport = options.transport or TimedTransport(options.ssl_context)
        self._client = httpx.Client(transport=transport, **_client_arguments(base_url, api_key, options))

    def do(self, call: Call[T]) -> T:
        """Send the request until its answer is the last word; the errors are those of `result_of`."""
        attempts = Attempts(self.options.retry, self.options.randomness)
        while (pause_s := attempts.pause_after(heard := self._send(call.request))) is not None:
            time.sleep(pause_s)
        return result_of(call, heard)

    def pages(self, call_at: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        """Everything in a list; each page is fetched when its first item is asked for."""
        cursor: str | None = None
        while True:
            page = self.do(call_at(cursor))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, request: ApiRequest) -> Heard:
        asked = _request_arguments(request, self.options)
        return exchange(self._client, asked, _bounds(request, self.options), no_reply)


class AsyncConnection:
    """The same on asyncio."""

    def __init__(self, base_url: str, api_key: ApiKey, options: Options) -> None:
        check_url(base_url)
        if options.transport is not None and not isinstance(options.transport, httpx.AsyncBaseTransport):
            raise InvalidConfig("AsyncPlatform needs an async httpx transport")
        self.options = options
        self.derive = api_key.derive
        self._client = httpx.AsyncClient(transport=options.transport, **_client_arguments(base_url, api_key, options))

    async def do(self, call: Call[T]) -> T:
        """See `Connection.do`."""
        attempts = Attempts(self.options.retry, self.options.randomness)
        while (pause_s := attempts.pause_after(heard := await self._send(call.request))) is not None:  # noqa: ASYNC110 - no event to wait for: the platform is elsewhere
            await asyncio.sleep(pause_s)
        return result_of(call, heard)

    async def pages(self, call_at: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        """See `Connection.pages`."""
        cursor: str | None = None
        while True:
            page = await self.do(call_at(cursor))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def close(self) -> None:
        """See `Connection.close`."""
        await self._client.aclose()

    async def _send(self, request: ApiRequest) -> Heard:
        asked = _request_arguments(request, self.options)
        return await exchange_async(self._client, asked, _bounds(request, self.options), no_reply)


def check_url(base_url: str) -> None:
    """Refuse a base URL that would send the API key in the clear, or elsewhere.

    Raises:
        InvalidConfig: with the reason.
    """
    try:
        check_base_url(base_url)
    except ValueError as error:
        raise InvalidConfig(str(error)) from None


def _client_arguments(base_url: str, api_key: ApiKey, options: Options) -> dict[str, Any]:
    return {"auth": api_key, **client_arguments(base_url, options.ssl_context)}


def _bounds(request: ApiRequest, options: Options) -> Bounds:
    return Bounds(REPLY_MAX_BYTES, patience_s(options.timeout_s, request.body))


def _request_arguments(request: ApiRequest, options: Options) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query or None,
        "content": request.body or None,
        "headers": headers_of(request.body, request.idempotency_key, options.headers),
    }

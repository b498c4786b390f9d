"""A network for code that blocks, in which every wait ends with the call that it belongs to.

The timeout of httpx is one of each read and of each write: whoever lets a reply drip, a byte at a time, holds a thread
for as long as he likes. Here a wait takes what is left of the call's time. Only the system's resolver keeps its own.
"""

from __future__ import annotations

import math
import os
import socket
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

_RECORD_MAX_BYTES: Final = 16 << 10
"""Of TLS. Python's ssl writes one within one timeout; larger writes would begin anew with each record."""

_SHARES_MAX: Final = 3
"""Of the time that is left, for addresses: on a slow network an address of many must not get too little to connect."""

_ends_at: Final[ContextVar[float]] = ContextVar("ends_at", default=math.inf)


@contextmanager
def ends_within(limit_s: float) -> Iterator[None]:
    """What this thread or task asks inside has so many seconds, all in all."""
    before = _ends_at.set(time.monotonic() + limit_s)
    try:
        yield
    finally:
        _ends_at.reset(before)


def is_over() -> bool:
    """Whether the time of the call has passed."""
    return time.monotonic() > _ends_at.get()


class TimedTransport(httpx.HTTPTransport):
    """As httpx makes it, on that network.

    A process that was forked opens connections of its own: on one of its parent's it could read its parent's reply.

    Args:
        ssl_context: None checks the system's CA store and the host name.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None) -> None:
        self._ssl_context = ssl_context
        self._open()

    def _open(self) -> None:
        super().__init__(verify=True if self._ssl_context is None else self._ssl_context, trust_env=False)
        pool = self._pool
        pool._network_backend = _TimedNetwork(pool._network_backend)  # noqa: SLF001 - httpx hands none through
        self._process = os.getpid()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.HTTPTransport.handle_request`."""
        if self._process != os.getpid():
            self._open()
        return super().handle_request(request)


class _TimedNetwork(httpcore.NetworkBackend):
    def __init__(self, network: httpcore.NetworkBackend) -> None:
        self._network = network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """An address of several gets a share of what is left: where it is silent, there is time for the next."""
        addresses = _addresses(host, port)
        while True:
            address, share_s = addresses.pop(0), _left_s(timeout)
            share_s = None if share_s is None else share_s / min(len(addresses) + 1, _SHARES_MAX)
            try:
                stream = self._network.connect_tcp(address, port, share_s, local_address, socket_options)
                return _TimedStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _RECORD_MAX_BYTES):
            self._stream.write(buffer[begin : begin + _RECORD_MAX_BYTES], _left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, _left_s(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left_s(timeout_s: float | None) -> float | None:
    """How long a wait may take that has a timeout of its own; None: for ever."""
    left_s = _ends_at.get() - time.monotonic()
    if left_s <= 0:
        raise httpcore.TimeoutException("the request and its reply took too long")
    left_s = left_s if timeout_s is None else min(left_s, timeout_s)
    return None if left_s == math.inf else left_s


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    as_numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return [socket.getnameinfo(address, as_numbers)[0] for *_, address in found]

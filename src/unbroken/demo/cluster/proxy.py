"""The proxy in front of the APIs, as far as a phone notices: takes them in turn, passes over one that is down."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.testing.process import PlatformProcess

ADDRESS = "http://127.0.0.1"


class Proxy(httpx.BaseTransport):
    """Carries requests to `ADDRESS` to one of the APIs. A request that was sent is never sent to another one.

    Args:
        apis: some of which may be down.
    """

    def __init__(self, apis: Sequence[PlatformProcess]) -> None:
        self._apis = apis
        self._turns = itertools.count()
        self._network = httpx.HTTPTransport(limits=httpx.Limits(max_connections=None, max_keepalive_connections=200))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`; the reply is read whole."""
        content, turn = request.read(), next(self._turns)
        for place in range(len(self._apis)):
            api = self._apis[(turn + place) % len(self._apis)]
            try:
                return self._send(request, content, httpx.URL(api.base_url))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        raise httpx.ConnectError("no API listens", request=request)

    def close(self) -> None:
        """Nothing: it is shared by all phones, and `shut` by whoever made it."""

    def shut(self) -> None:
        """Close the connections."""
        self._network.close()

    def _send(self, request: httpx.Request, content: bytes, to: httpx.URL) -> httpx.Response:
        url = request.url.copy_with(host=to.host, port=to.port)
        copy = httpx.Request(
            request.method, url, headers=request.headers, content=content or None, extensions=request.extensions
        )
        response = self._network.handle_request(copy)
        response.request = request
        response.read()
        response.close()
        return response

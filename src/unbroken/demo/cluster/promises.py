"""What the platform has acknowledged, noted where the answers come in: that, and no less, must be there at the end."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httpx

from unbroken import wire

if TYPE_CHECKING:
    from collections.abc import Callable

UPLOAD: Final = "/sdk/payloads"


@dataclass(frozen=True, slots=True)
class Link:
    """An acknowledged link: to which account, and the user that was told for it."""

    account: str
    user_id: str


@dataclass(slots=True)
class Promises:
    """All of it, told from many threads.

    Args:
        links: by install.
        payloads: by install: the capture times of the items in each payload, epoch milliseconds.
        answers: how many requests got which status; 0 for those without an answer.
    """

    links: dict[str, Link] = field(default_factory=dict)
    payloads: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    payload_count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def link(self, install_id: str, link: Link) -> None:
        """A link was answered with 200."""
        with self._lock:
            self.links[install_id] = link

    def stored(self, install_id: str, payloads: dict[str, list[int]]) -> None:
        """Payloads were answered with 202."""
        with self._lock:
            known = self.payloads.setdefault(install_id, {})
            self.payload_count += len(payloads.keys() - known.keys())
            known |= payloads

    def answered(self, status: int) -> None:
        """A request was answered, or 0: was not."""
        with self._lock:
            self.answers[status] += 1


class Listener(httpx.BaseTransport):
    """The network of one install; notes what the platform answers to it.

    Args:
        carrier: what really carries the requests; shared, and closed by whoever made it.
        whose: the install that sends.
    """

    def __init__(self, carrier: httpx.BaseTransport, promises: Promises, whose: Callable[[], str | None]) -> None:
        self._carrier = carrier
        self._promises = promises
        self._whose = whose

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        content = request.read()
        try:
            response = self._carrier.handle_request(request)
        except httpx.TransportError:
            self._promises.answered(0)
            raise
        self._promises.answered(response.status_code)
        install_id = self._whose()
        if response.is_success and request.url.path == UPLOAD and install_id is not None:
            self._promises.stored(install_id, _stored(content, response.content))
        return response

    def close(self) -> None:
        """Nothing: the carrier is shared."""


def _stored(sent: bytes, answer: bytes) -> dict[str, list[int]]:
    """The payloads that the answer names, each with the capture times of its items."""
    upload, results = wire.decode(gzip.decompress(sent), wire.Upload), wire.decode(answer, wire.UploadResults)
    named = {result.payload_id for result in results.results}
    return {one.payload_id: [item.t for item in one.items] for one in upload.payloads if one.payload_id in named}

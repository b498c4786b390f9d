"""One request to a service of Google's, whose reply is bounded and kept as it comes over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.outgoing import NoReply, Reply, no_reply
from unbroken.outgoing.exchange import Bounds, NotTaken, exchange

if TYPE_CHECKING:
    import httpx


class Unreadable(NoReply):
    """Something came back that is compressed or too large. It is not read to its end."""


def ask(client: httpx.Client, request: dict[str, Any], most_bytes: int, limit_s: float) -> Reply | NoReply:
    """Send once."""
    headers = {**request.get("headers", {}), "Accept-Encoding": "identity"}
    return exchange(client, {**request, "headers": headers}, Bounds(most_bytes, limit_s), _heard)


def _heard(error: Exception) -> NoReply:
    return Unreadable(str(error)) if isinstance(error, NotTaken) else no_reply(error)

"""One request to a service of Google's, whose reply is bounded and kept as it comes over the wire."""

from __future__ import annotations

import httpx

from unbroken.outgoing import NoReply, Reply, no_reply


class Unreadable(NoReply):
    """Something came back that is compressed or too large. It is not read to its end."""


def ask(client: httpx.Client, request: httpx.Request, size_max_bytes: int) -> Reply | NoReply:
    """Send once."""
    request.headers["Accept-Encoding"] = "identity"
    try:
        response = client.send(request, stream=True)
        try:
            return _bounded(response, size_max_bytes)
        finally:
            response.close()
    except httpx.TransportError as error:
        return no_reply(error)


def _bounded(response: httpx.Response, size_max_bytes: int) -> Reply | NoReply:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return Unreadable("the reply is compressed without having been asked for")
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > size_max_bytes:
            return Unreadable(f"the reply has more than {size_max_bytes} bytes")
    return Reply(response.status_code, bytes(body))

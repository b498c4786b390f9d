"""Requests as bytes, ready to send."""

from __future__ import annotations

import base64
import math
from itertools import repeat
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from unbroken.wire import Item

FIXES: Final = 18
"""Fixes in an upload, which make about 1.5 KB of JSON."""

_FIX_EVERY_MS: Final = 30_000
STRETCH_MS: Final = FIXES * _FIX_EVERY_MS
"""The time that one upload tells of."""

_PHONE: Final = {
    "device": {"platform": "android", "screen_inches": 6.1, "model": "Pixel 9", "os_version": "16"},
    "sdk": {"name": "unbroken-python", "version": "0.1.0"},
    "app_version": "5.2.0",
}
_chance = SystemRandomness()


def request(method: str, path: str, authorization: str, *, body: bytes = b"", key: str | None = None) -> bytes:
    """A whole request; `key` is its idempotency key."""
    return _head(method, path, authorization, len(body), key) + body


def _head(method: str, path: str, authorization: str, body_bytes: int, key: str | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {authorization}"]
    lines += [f"Idempotency-Key: {key}"] if key is not None else []
    lines += ["Content-Type: application/json", f"Content-Length: {body_bytes}"] if body_bytes else []
    return "\r\n".join([*lines, "\r\n"]).encode()


def bearer(token: str) -> str:
    """The header of every credential but an app's."""
    return f"Bearer {token}"


# Registering and linking


def registrations(app_id: str, app_secret: str, count: int | None, now_ms: int) -> Iterator[bytes]:
    """So many phones that register, each for the first time; None: without end."""
    authorization = "Basic " + base64.b64encode(f"{app_id}:{app_secret}".encode()).decode()
    body = wire.encode(_PHONE)
    for _ in repeat(None) if count is None else repeat(None, count):
        yield request("POST", "/sdk/installs", authorization, body=body, key=_chance.uuid(now_ms))


def links(api_key: str, install_ids: Sequence[str], now_ms: int) -> list[bytes]:
    """Each install to an account; the second half to those of the first half, which it takes over."""
    accounts = (len(install_ids) + 1) // 2
    return [link(api_key, install_id, f"account-{n % accounts}", now_ms) for n, install_id in enumerate(install_ids)]


def link(api_key: str, install_id: str, account: str, now_ms: int) -> bytes:
    """One install to one account."""
    body, key = wire.encode({"external_id": account}), _chance.uuid(now_ms)
    return request("POST", f"/v2/users/{install_id}/link", bearer(api_key), body=body, key=key)


def renewal(credential: str, now_ms: int) -> bytes:
    """One install that asks for its next credential."""
    return request("POST", "/sdk/tokens", bearer(credential), key=_chance.uuid(now_ms))


# Uploads


def uploads(tokens: Sequence[str], *, from_ms: int, sent_at: int, stretches: int) -> Iterator[bytes]:
    """One upload of each install in turn, then the next stretch of time of each; none is like another.

    Args:
        from_ms: when the first fix was captured.
        stretches: how many uploads each install has.
    """
    bodies = [upload_body(walk(from_ms + n * STRETCH_MS), sent_at) for n in range(stretches)]
    size = max(map(len, bodies))
    heads = [_head("POST", "/sdk/payloads", bearer(token), size) for token in tokens]
    for body in bodies:
        padded = body.ljust(size)
        for head in heads:
            yield head + padded


def upload(token: str, items: Iterable[Item], sent_at: int) -> bytes:
    """An upload of one install, whole."""
    return request("POST", "/sdk/payloads", bearer(token), body=upload_body(items, sent_at))


def upload_body(items: Iterable[Item], sent_at: int) -> bytes:
    """One payload with these items."""
    payload = wire.Payload(_chance.uuid(sent_at), list(items))
    return wire.encode(wire.Upload(sent_at, [payload]))


def walk(from_ms: int) -> Iterator[Item]:
    """The fixes of somebody who goes round a park for half of each hour and rests in between."""
    for n in range(FIXES):
        at_ms = from_ms + n * _FIX_EVERY_MS
        minute = at_ms / 60_000
        angle = math.tau * min(minute % 60, 30) / 30
        lat, lon = 51.05 + 0.003 * math.sin(angle), 3.72 + 0.005 * math.cos(angle)
        noise = (at_ms * 2_654_435_761 >> 8) % 1000 * 1e-7
        yield wire.Location(at_ms, round(lat + noise, 6), round(lon - noise, 6), acc=9.5 + n % 7)

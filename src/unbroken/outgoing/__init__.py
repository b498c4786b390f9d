"""Requests that go out with httpx, as the device SDK and the backend kit both send them: to whom, how, and what came.

Environment proxies are not used and redirects not followed: whoever can set a variable, or answer in the platform's
place, must not be able to read a credential. httpx itself is loaded by whoever sends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    import httpx

RETRY_AFTER_MAX_S: Final = 24 * 3_600
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What the platform answered. The body is not shown: it may hold credentials."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after_s: int | None = None
    ref: str | None = None
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing came back, or not in time; the request may or may not have had its effect."""

    details: str


def check_base_url(base_url: str) -> None:
    """Refuse a base URL that would send a credential in the clear, or elsewhere.

    Raises:
        ValueError: with the reason; a password is not in it.
    """
    if not base_url.isprintable() or " " in base_url:
        raise ValueError("the base URL has characters that no URL has: perhaps a line break at its end")
    url = urlsplit(base_url)
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("the base URL carries no user, password, query or fragment")
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(f"{base_url!r} is not an http or https URL")
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise ValueError("http:// is for loopback only; credentials travel over https://")
    if url.port == 0:  # one that is no number, or too large a one, is a ValueError as it is asked for
        raise ValueError("no platform listens on port 0")


def client_arguments(base_url: str, ssl_context: ssl.SSLContext | None) -> dict[str, Any]:
    """What an httpx client is made with.

    Args:
        ssl_context: pins included, where there are any; None checks the system's CA store and the host name.
    """
    return {
        "base_url": base_url,
        "verify": ssl_context if ssl_context is not None else True,
        "trust_env": False,
        "follow_redirects": False,
    }


def headers_of(
    body: bytes, idempotency_key: str | None, further: Callable[[], Mapping[str, str]] | None
) -> dict[str, str]:
    """The headers of every request. `further` is the app's own, asked anew each time, and goes before the others."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if body:
        headers["Content-Type"] = "application/json"
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    return {**headers, **(further() if further is not None else {})}


def reply_of(response: httpx.Response, body: bytes) -> Reply:
    """A response as a value, with what was read of it."""
    return Reply(
        status=response.status_code,
        body=body,
        retry_after_s=_retry_after_s(response.headers.get("Retry-After", "")),
        ref=response.headers.get("X-Request-Id"),
        next_cursor=response.headers.get("X-Next-Cursor"),
    )


def _retry_after_s(text: str) -> int | None:
    """Seconds; None where it is a date, or nothing. At most a day: what answers here may not be the platform."""
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text), RETRY_AFTER_MAX_S) if len(text) < 10 else RETRY_AFTER_MAX_S


def no_reply(error: Exception) -> NoReply:
    """An exception of httpx as a value, so that no frame that knows a credential goes on with it."""
    return NoReply(f"{type(error).__name__}: {error}")


def full_jitter(failures: int, first: float, most: float, fraction: float) -> float:
    """A pause after so many failures: anywhere below a limit that doubles, so that many callers do not come as one.

    Args:
        first: the limit after the first failure (0), in the unit of the result.
        most: what the limit never exceeds.
        fraction: chance, in [0, 1).
    """
    return min(most, first * 2.0 ** min(failures, 64)) * fraction

"""Google's list of attestation keys that are not to be trusted any more, with bounds of size and age.

The list is one JSON object at `STATUS_URL`: `entries` has serial numbers in hexadecimal, which Google writes in lower
case and without zeroes in front, each with a status, REVOKED or SUSPENDED. A key of either is refused, and so is every
key while the list at hand is too old: whoever can cut this server off from the list must not gain from it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

import httpx
import msgspec

from unbroken import wire
from unbroken.backend.attestation.asking import ask
from unbroken.backend.attestation.refused import Reason, Refused
from unbroken.outgoing import NoReply, check_base_url, client_arguments
from unbroken.outgoing.deadline import TimedTransport

if TYPE_CHECKING:
    import ssl

    from unbroken.outgoing import Reply

_log: Final = logging.getLogger("unbroken.backend.attestation")

STATUS_URL: Final = "https://android.googleapis.com/attestation/status"
AGE_MAX_MS: Final = 24 * 3_600_000
AHEAD_MAX_MS: Final = 300_000
"""A call takes the time before it waits for a thread that fetches, and clocks are set back."""

SIZE_MAX_BYTES: Final = 16 << 20

_REFRESH_AFTER_MS: Final = 3_600_000
_TRY_AGAIN_AFTER_MS: Final = 60_000
_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{1,64}")


class _Entry(msgspec.Struct):
    status: str


class _StatusFile(msgspec.Struct):
    entries: dict[str, _Entry]


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Serial numbers that were not valid any more at an instant."""

    serials: frozenset[str] = field(repr=False)
    fetched_at_ms: int

    def require_valid(self, serials: list[int], now_ms: int) -> None:
        """Refuse where one of these certificates is on the list, or the list is too old, or too far ahead.

        Raises:
            Refused: `revoked` or `revocation_list_stale`.
        """
        if not -AHEAD_MAX_MS <= now_ms - self.fetched_at_ms <= AGE_MAX_MS:
            raise Refused(Reason.REVOCATION_LIST_STALE, f"fetched at {self.fetched_at_ms}")
        for serial in serials:
            if f"{serial:x}" in self.serials:
                raise Refused(Reason.REVOKED, f"certificate {serial:x}")


def read_revocation_list(body: bytes, fetched_at_ms: int) -> RevocationList:
    """The list in the body of a reply.

    Raises:
        ValueError: it is not one, or a serial number in it is of another form, so that it would never be matched.
    """
    if len(body) > SIZE_MAX_BYTES:
        raise ValueError("the revocation list is too large")
    try:
        entries = wire.decode(body, _StatusFile).entries
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a revocation list: {error}") from error
    for serial in entries:
        if not _SERIAL.fullmatch(serial):
            raise ValueError(f"{serial[:80]!r} is no serial number")
    return RevocationList(frozenset(f"{int(serial, 16):x}" for serial in entries), fetched_at_ms)


class Revocations(Protocol):
    """Where a verifier gets the list from."""

    def current(self, now_ms: int) -> RevocationList:
        """The newest list at hand; it may block to fetch one.

        Raises:
            Refused: `revocation_list_stale`; there is none.
        """
        ...


class FetchedRevocations:
    """The list, fetched once an hour when it is asked for; one thread fetches while others go on with what is there.

    Args:
        url: where the list is.
        timeout_s: how long fetching it may take, from connecting to the last byte.
        ssl_context: the TLS to use; the system's CA store and host name check if left out.
        transport: an httpx transport in place of the network.

    Raises:
        ValueError: the URL is not usable.
    """

    def __init__(
        self,
        url: str = STATUS_URL,
        *,
        timeout_s: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        check_base_url(url)
        self._ssl_context = ssl_context
        self._url = url
        self._timeout_s = timeout_s
        self._transport = transport
        self._list: RevocationList | None = None
        self._next_try_at_ms = 0
        self._lock = Lock()

    def current(self, now_ms: int) -> RevocationList:
        """See `Revocations.current`. A list that cannot be fetched anew stays in use until it is too old."""
        if now_ms >= self._next_try_at_ms:
            self._refresh(now_ms)
        if self._list is None:
            raise Refused(Reason.REVOCATION_LIST_STALE, "the revocation list was never fetched")
        return self._list

    def _refresh(self, now_ms: int) -> None:
        if not self._lock.acquire(blocking=self._list is None):
            return
        try:
            if now_ms < self._next_try_at_ms:
                return  # another thread was faster
            fetched = self._fetch(now_ms)
            self._list = fetched or self._list
            self._next_try_at_ms = now_ms + (_REFRESH_AFTER_MS if fetched else _TRY_AGAIN_AFTER_MS)
        finally:
            self._lock.release()

    def _fetch(self, now_ms: int) -> RevocationList | None:
        transport = self._transport or TimedTransport(self._ssl_context)
        with httpx.Client(transport=transport, **client_arguments("", self._ssl_context)) as client:
            heard = ask(client, {"method": "GET", "url": self._url}, SIZE_MAX_BYTES, self._timeout_s)
        try:
            return read_revocation_list(_body_of(heard), now_ms)
        except ValueError as error:
            _log.warning("the list of revoked keys could not be fetched: %s", error)
            return None


def _body_of(heard: Reply | NoReply) -> bytes:
    if isinstance(heard, NoReply):
        raise ValueError(heard.details)  # noqa: TRY004 - of a right type
    if heard.status != 200:
        raise ValueError(f"HTTP status {heard.status}")
    return heard.body

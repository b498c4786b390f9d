"""Which keys a host may have. A pin is `sha256/` and the base64 of the SHA-256 of a key's SubjectPublicKeyInfo.

Pure. Handshakes ask it in `pinning.py`; how pins are exchanged without an update of the app stands in `pin_updates.py`.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.clock import SystemClock
from unbroken.sdk.errors import InvalidConfig
from unbroken.sdk.sealing import require_cryptography

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Sequence

    from unbroken.clock import Clock

PIN_PREFIX: Final = "sha256/"
KEY_PREFIX: Final = "ed25519/"
PINS_MIN: Final = 2
"""The key in use and one that lies in a safe place: with one alone, losing it locks every device out."""


@dataclass(frozen=True, slots=True)
class Pins:
    """The keys a host may have. A connection is good where a certificate of its verified chain has one of them.

    Pin the host's own keys, or an intermediate that is yours alone: the pin of a public CA accepts whatever that CA
    issues by mistake.

    Args:
        keys: at least two pins: the key in use, and a backup that lies elsewhere.
        expires_at_ms: from then on (epoch milliseconds) the CA's word is enough, so that an app that nobody updates
            goes on working; None: never.
        is_strict: the pins hold beyond `expires_at_ms` too. Whoever can set the device's clock can end them without.
        number: of the set. A signed update counts only where its number is greater.
        update_key: `ed25519/` and base64: the key that signs updates of the pins; None: there are no updates.

    Raises:
        InvalidConfig: a pin or the key is not of the form, there are fewer than two pins, or updates cannot be checked
            because `cryptography` is not installed.
    """

    keys: Collection[str]
    expires_at_ms: int | None = None
    is_strict: bool = False
    number: int = 0
    update_key: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", frozenset(self.keys))
        for pin in self.keys:
            if not is_pin(pin):
                raise InvalidConfig(f"{pin!r} is not a pin: {PIN_PREFIX} and 44 characters of base64")
        if len(self.keys) < PINS_MIN:
            raise InvalidConfig("at least two pins: the key in use and a backup, or a lost key locks every device out")
        if self.update_key is not None:
            read_update_key(self.update_key)
            require_cryptography()

    def hold(self, now_ms: int) -> bool:
        """Whether a connection needs one of the keys at `now_ms`."""
        return self.is_strict or self.expires_at_ms is None or now_ms < self.expires_at_ms

    def allow(self, chain: Sequence[bytes]) -> bool:
        """Whether a certificate of `chain`, in DER, has one of the keys."""
        return any(pin_of_certificate(certificate) in self.keys for certificate in chain)


def pinned_context(
    host: str, pins: Collection[str] | Pins, *, context: ssl.SSLContext | None = None, clock: Clock | None = None
) -> ssl.SSLContext:
    """TLS to `host`, and to it alone, where it has a pinned key: for httpx, aiohttp, urllib3, whatever takes a context.

    What it refuses raises `unbroken.sdk.pinning.PinMismatch`, in the wrapping of whatever took the context. Let no
    proxy come from the environment and follow no redirects, as the SDK does.

    Args:
        host: as in the URL, in lower case.
        pins: at least two.
        context: Python's own `ssl.SSLContext`, which is changed: for a CA of yours or a client certificate. None: the
            system's CA store.
        clock: for `Pins.expires_at_ms`.

    Raises:
        InvalidConfig: see `Pins`; or the context does not verify.
    """
    from unbroken.sdk.pinning import KeyCheck, pin  # noqa: PLC0415 - ssl costs every start 10 ms, pinned or not

    fixed = as_pins(pins)
    return pin(context, KeyCheck(host, lambda: fixed, clock or SystemClock()))


def as_pins(pins: Collection[str] | Pins) -> Pins:
    """What a config says, as `Pins`.

    Raises:
        InvalidConfig: see `Pins`.
    """
    return pins if isinstance(pins, Pins) else Pins(pins)


def is_pin(text: object) -> bool:
    """Whether this is a pin."""
    return isinstance(text, str) and text.startswith(PIN_PREFIX) and _is_of_32_bytes(text.removeprefix(PIN_PREFIX))


def pin_of(public_key: bytes) -> str:
    """The pin of a SubjectPublicKeyInfo in DER."""
    return PIN_PREFIX + base64.b64encode(hashlib.sha256(public_key).digest()).decode()


def pin_of_certificate(certificate: bytes) -> str:
    """The pin of the key in an X.509 certificate in DER.

    Raises:
        ValueError: it is none.
    """
    return pin_of(_public_key(certificate))


def read_update_key(text: str) -> bytes:
    """The 32 bytes of a key that signs updates.

    Raises:
        InvalidConfig: it is none.
    """
    encoded = text.removeprefix(KEY_PREFIX)
    if encoded == text or not _is_of_32_bytes(encoded):
        raise InvalidConfig(f"{text!r} is not a key for updates: {KEY_PREFIX} and 44 characters of base64")
    return base64.b64decode(encoded)


def _is_of_32_bytes(encoded: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(encoded, validate=True)).decode() == encoded and len(encoded) == 44
    except ValueError:
        return False


def _public_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo (RFC 5280, 4.1) as it stands in the certificate: encoding it anew could change it."""
    try:
        at = _content(certificate, _content(certificate, 0)[0])[0]
        before = 6 if certificate[at] == _VERSION else 5  # version, serial number, signature, issuer, validity, subject
        for _ in range(before):
            at = _content(certificate, at)[1]
        return certificate[at : _content(certificate, at)[1]]
    except IndexError:
        raise ValueError("not a certificate: it ends too early") from None


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends."""
    begin, length = at + 2, der[at + 1]
    if length & 0x80:
        begin, size = begin + (length & 0x7F), length & 0x7F
        length = int.from_bytes(der[begin - size : begin], "big")
    if begin + length > len(der):
        raise ValueError("not a certificate: an element is longer than what holds it")
    return begin, begin + length


_VERSION: Final = 0xA0

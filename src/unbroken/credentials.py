"""Credentials: their form, the keyed hashes they are stored as, and what the platform signs itself.

Two families. Opaque ones (API keys, app secrets, install credentials, codes) are `unb_<kind>_<id><secret><checksum>`:
24 hex characters that say whose row to look at, 43 of chance, 8 of CRC-32, so that a typo or a made-up one costs no
look-up. Signed ones (user tokens, link tickets) are stored nowhere. Prefixes differ by kind, so that a wrong kind
is refused by name. Pepper and signing key live outside the database.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain.ids import AppId, InstallId
from unbroken.domain.payload import DAY_MS
from unbroken.domain.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USER_TOKEN_LIFE_MS: Final = 3 * DAY_MS
LINK_TICKET_LIFE_MS: Final = 10 * 60_000
AUTH_CODE_LIFE_MS: Final = 5 * 60_000
SECRET_BYTES: Final = 32


class Kind(StrEnum):
    """What a credential is; its prefix says so."""

    APP_SECRET = "app"  # noqa: S105 - the name of a kind
    AUTH_CODE = "code"
    INSTALL = "inst"
    USER_TOKEN = "user"  # noqa: S105 - the name of a kind
    API_KEY = "key"
    LINK_TICKET = "tick"


NAMES: Final = {
    Kind.APP_SECRET: "an app secret",
    Kind.AUTH_CODE: "an authentication code",
    Kind.INSTALL: "an install credential",
    Kind.USER_TOKEN: "a user token",
    Kind.API_KEY: "an API key",
    Kind.LINK_TICKET: "a link ticket",
}
"""How a refusal calls a credential."""

PREFIXES: Final = {kind: f"unb_{kind}_" for kind in Kind}
"""How a credential of each kind begins."""

PATTERN: Final = (
    r"\bunb_(?:(?:app|code|inst|key)_[0-9a-f]{24}[0-9A-Za-z_-]{43}[0-9a-f]{8}\b|(?:user|tick)_[0-9A-Za-z_-]{64})"
)
"""What scanners look for; of the regular expressions that RE2 knows, too (docs/how-to/rotate-a-key.md)."""

_LABELS: Final = {kind: kind.encode() for kind in Kind}
_ID_CHARACTERS: Final = 24
_OPAQUE_CHARACTERS: Final = _ID_CHARACTERS + 43 + 8
_SIGNED: Final = struct.Struct(">12s12sQB")
_SIGNATURE_BYTES: Final = 15  # with the content a multiple of three: one text for one value, without padding
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_KINDS: Final[dict[str, Kind]] = {kind.value: kind for kind in Kind}
_STANDINGS: Final = tuple(Standing)


class Opaque(NamedTuple):
    """An opaque credential that is well formed; whether it is a known one, the store says."""

    kind: Kind
    subject: bytes
    text: str


class Signed(NamedTuple):
    """What a user token or a link ticket says; `standing` is how the install stood when it was signed."""

    app_id: AppId
    install_id: InstallId
    expires_at: int
    standing: Standing = Standing.ACTIVE


def kind_of(text: str) -> Kind | None:
    """The kind that the prefix of `text` claims."""
    product, _, rest = text.partition("_")
    kind, separator, _ = rest.partition("_")
    return _KINDS.get(kind) if product == "unb" and separator else None


def write_opaque(kind: Kind, subject: bytes, chance: bytes) -> str:
    """A new opaque credential of `subject` (12 bytes) from 32 bytes of chance."""
    body = f"unb_{kind}_{subject.hex()}{_encode(chance)}"
    return body + f"{zlib.crc32(body.encode()):08x}"


def read_opaque(text: str) -> Opaque | None:
    """The parts of an opaque credential, or None where `text` is not one that was ever given out."""
    kind = kind_of(text)
    if kind is None or not text.isascii() or len(text) != len(f"unb_{kind}_") + _OPAQUE_CHARACTERS:
        return None
    if f"{zlib.crc32(text[:-8].encode()):08x}" != text[-8:]:
        return None
    start = len(f"unb_{kind}_")
    try:
        subject = bytes.fromhex(text[start : start + _ID_CHARACTERS])
    except ValueError:
        return None
    return Opaque(kind, subject, text)


class Digest(bytes):
    """What a secret is kept as from now on; it may be kept yet under a pepper that was in use before.

    Args:
        earlier: what it would be kept as under those.
    """

    earlier: tuple[bytes, ...] = ()

    @property
    def every(self) -> tuple[bytes, ...]:
        """All of them, the present one first: what a secret is looked up by."""
        return (bytes(self), *self.earlier)


class Peppers(NamedTuple):
    """The peppers of secrets.

    Args:
        number: of the one that secrets are kept under from now on.
        keys: all that are accepted, by number, counted up from 1.
    """

    number: int
    keys: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Vault:
    """The keys that live outside the database.

    Args:
        pepper: keys the hashes that secrets are stored as, so that who can write rows cannot plant a secret; and for
            ever those by which it is remembered who was erased.
        signing_key: signs user tokens and link tickets.
        receipt_key: seed of the Ed25519 key that signs receipts of erasure (`flow/receipts.py`); made from the signing
            key where none is given.
        peppers: tells which are in use by now, where another one took the place of `pepper` for secrets.
    """

    pepper: bytes
    signing_key: bytes
    receipt_key: bytes = b""
    peppers: Callable[[], Peppers] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return "Vault(***)"

    def digest(self, secret: str) -> Digest:
        """What a secret is stored and looked up as: 32 bytes; under a later pepper its number stands before them."""
        if self.peppers is None:
            return Digest(_hmac(self.pepper, secret.encode()))
        peppers = self.peppers()
        digest = Digest(_under(peppers, peppers.number, secret))
        if len(peppers.keys) == 1:
            return digest
        others = sorted(peppers.keys.keys() - {peppers.number}, reverse=True)
        digest.earlier = tuple(_under(peppers, number, secret) for number in others)
        return digest

    def tombstone(self, id_: bytes) -> bytes:
        """What an erased id is remembered as (linking.md, erasure)."""
        return _hmac(self.pepper, b"tombstone" + id_)

    def seal_entry(self, position: int, previous: bytes, content: bytes) -> bytes:
        """The hash of an entry of the audit log, over its place, the hash before it (32 bytes), and its content."""
        return _hmac(_audit_key(self.signing_key), position.to_bytes(8, "big") + previous + content)

    def receipt_seed(self) -> bytes:
        """The 32 bytes that the receipts' Ed25519 key is made of."""
        return self.receipt_key or _hmac(self.signing_key, b"receipts")

    def derived(self, purpose: bytes, content: bytes) -> bytes:
        """A key or a mark (32 bytes) that no other purpose and no other content has."""
        return _hmac(self.signing_key, b"derived\0" + purpose + b"\0" + content)

    def sign(self, kind: Kind, signed: Signed) -> str:
        """A user token or a link ticket."""
        content = _SIGNED.pack(signed.app_id, signed.install_id, signed.expires_at, _STANDINGS.index(signed.standing))
        return PREFIXES[kind] + _encode(content + self._signature(kind, content))

    def open(self, kind: Kind, text: str) -> Signed | None:
        """What a signed credential says, or None where this platform did not sign it; expiry is not judged here."""
        prefix = PREFIXES[kind]
        if not text.startswith(prefix):
            return None
        content = _decode(text[len(prefix) :])
        if content is None or len(content) != _SIGNED.size + _SIGNATURE_BYTES:
            return None
        content, signature = content[: _SIGNED.size], content[_SIGNED.size :]
        if not hmac.compare_digest(signature, self._signature(kind, content)):
            return None
        app_id, install_id, expires_at, standing = _SIGNED.unpack(content)
        return Signed(AppId(app_id), InstallId(install_id), expires_at, _STANDINGS[standing])

    def _signature(self, kind: Kind, content: bytes) -> bytes:
        return _hmac(self.signing_key, _LABELS[kind] + content)[:_SIGNATURE_BYTES]


@lru_cache(maxsize=4)
def _audit_key(signing_key: bytes) -> bytes:
    return _hmac(signing_key, b"audit log")


def is_one_of(kept: bytes, digest: Digest) -> bool:
    """Whether a secret is the one that is kept; in the same time, whichever it is."""
    return sum(hmac.compare_digest(kept, one) for one in digest.every) > 0


def _under(peppers: Peppers, number: int, secret: str) -> bytes:
    digest = _hmac(peppers.keys[number], secret.encode())
    return digest if number == 1 else bytes([number]) + digest


def _hmac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104) from the two hashes that know the key: `hmac.digest` asks OpenSSL for them each time."""
    knows_inner, knows_outer = _keyed(key)
    inner, outer = knows_inner.copy(), knows_outer.copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    block = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))


def body_hash(body: bytes) -> bytes:
    """What a request body is compared by when its idempotency key comes again."""
    return hashlib.sha256(body).digest()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    """The bytes of base64url; None for any text that `_encode` would not have written."""
    if not text.isascii() or "+" in text or "/" in text or "=" in text or len(text) % 4:
        return None
    try:
        return binascii.a2b_base64(text.replace("-", "+").replace("_", "/"), strict_mode=True)
    except binascii.Error:
        return None

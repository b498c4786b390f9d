"""A fake Apple: its attestation authority, and devices whose keys it attests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unbroken.backend.attestation.app_attest import PRODUCTION
from unbroken.testing.attestation.encoding import cbor
from unbroken.testing.attestation.issuing import DAY_MS, YEAR_MS, Authority, Life, encoded, name, new_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

NONCE_EXTENSION: Final = "1.2.840.113635.100.8.2"

_NONCE_HEADER: Final = bytes.fromhex("3024a1220420")


class Apple:
    """The root, and the one authority below it that signs for devices.

    Args:
        now_ms: certificates are valid for years around this instant.
    """

    def __init__(self, now_ms: int) -> None:
        life = Life(now_ms - YEAR_MS, now_ms + 10 * YEAR_MS)
        self.root = Authority.root(name(COMMON_NAME="Fake App Attestation Root CA"), life)
        self.issuer = self.root.authority(name(COMMON_NAME="Fake App Attestation CA 1"), life)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What an attestation says; each part can be made wrong on its own.

    Args:
        app_id: team id, dot, bundle id.
        client_data_hash: what it is bound to.
        nonce: in place of the right one.
        key_id: in place of the right one, inside the object.
    """

    app_id: str
    client_data_hash: bytes
    counter: int = 0
    flags: int = 0x40
    environment: bytes = PRODUCTION
    nonce: bytes | None = None
    key_id: bytes | None = None
    cose: dict[int, int | bytes] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)
    statement: dict[str, Any] = field(default_factory=dict)


class AppAttestKey:
    """A key in a device's Secure Enclave, as App Attest hands it to an app: an id, and two things to ask for.

    Args:
        apple: who attests it.
    """

    def __init__(self, apple: Apple, curve: ec.EllipticCurve | None = None) -> None:
        self._apple = apple
        self._key = new_key(curve or ec.SECP256R1())
        self._counter = 0
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._point = point
        self.key_id = hashlib.sha256(point).digest()

    def attest(self, claims: Claims, now_ms: int, *, issuer: Authority | None = None) -> bytes:
        """The attestation object."""
        data = self._attested_data(claims)
        chain = self._chain(claims, data, now_ms, issuer or self._apple.issuer)
        statement = {"x5c": [encoded(certificate) for certificate in chain], "receipt": bytes(64), **claims.statement}
        return cbor({"fmt": "apple-appattest", "attStmt": statement, "authData": data, **claims.members})

    def sign(self, app_id: str, client_data_hash: bytes, *, counter: int | None = None) -> bytes:
        """An assertion; the counter goes up by itself unless one is given."""
        self._counter += 1
        data = _head(app_id, 0x40, self._counter if counter is None else counter)
        nonce = hashlib.sha256(data + client_data_hash).digest()
        return cbor({"signature": self._key.sign(nonce, ec.ECDSA(hashes.SHA256())), "authenticatorData": data})

    def _attested_data(self, claims: Claims) -> bytes:
        half = len(self._point) // 2
        cose = {1: 2, 3: -7, -1: 1, -2: self._point[1 : half + 1], -3: self._point[half + 1 :], **claims.cose}
        key_id = claims.key_id or self.key_id
        head = _head(claims.app_id, claims.flags, claims.counter)
        return head + claims.environment + len(key_id).to_bytes(2, "big") + key_id + cbor(cose)

    def _chain(self, claims: Claims, data: bytes, now_ms: int, issuer: Authority) -> Sequence[Certificate]:
        nonce = claims.nonce or hashlib.sha256(data + claims.client_data_hash).digest()
        life = Life(now_ms - DAY_MS, now_ms + 2 * DAY_MS)
        subject = name(COMMON_NAME=self.key_id.hex())
        leaf = issuer.issue(subject, self._key.public_key(), life, {NONCE_EXTENSION: _NONCE_HEADER + nonce})
        return leaf, issuer.certificate


def _head(app_id: str, flags: int, counter: int) -> bytes:
    return hashlib.sha256(app_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")

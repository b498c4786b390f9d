"""App Attest: a genuine copy of the app on a genuine Apple device made a key, and later signs with it.

The steps are those of Apple's "Validating apps that connect to your server", made exact where that text leaves room:
the whole extension is compared, the objects have the members they must have and no other, the counter of an
attestation is zero. Apple's receipt is not looked at.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509 import ObjectIdentifier

from unbroken.backend.attestation import cbor, certificates
from unbroken.backend.attestation.anchors import APPLE_ROOT
from unbroken.backend.attestation.counters import AttestedKey
from unbroken.backend.attestation.evidence import AppAssertion, AppAttestation
from unbroken.backend.attestation.proof import Level, Proof
from unbroken.backend.attestation.refused import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.x509 import Certificate

    from unbroken.backend.attestation.binding import Binding
    from unbroken.backend.attestation.counters import Counters
    from unbroken.backend.attestation.evidence import Evidence

PRODUCTION: Final = b"appattest" + bytes(7)
DEVELOPMENT: Final = b"appattestdevelop"

_FORMAT: Final = "apple-appattest"
_NONCE_EXTENSION: Final = ObjectIdentifier("1.2.840.113635.100.8.2")
_NONCE_HEADER: Final = bytes.fromhex("3024a1220420")
_HAS_KEY: Final = 0x40
_HAS_EXTENSIONS: Final = 0x80
_ASSERTION_BYTES: Final = 37
_ATTESTATION_HEAD_BYTES: Final = 87


@dataclass(frozen=True, slots=True)
class Attested:
    """What an attestation proves: the key, its id, and the app that made it."""

    key_id: bytes
    public_key: bytes
    app_id: str
    is_production: bool
    digest: bytes


class Asserted(NamedTuple):
    """What an assertion says."""

    app_id: str
    counter: int
    digest: bytes


class AppAttest:
    """Verifies an attestation (`Kind.APP_ATTEST`).

    Args:
        app_ids: team id, dot, bundle id, of every app that may ask.
        counters: where the key is kept for later assertions, if there are to be any.
        is_development_allowed: whether builds that run from Xcode count; for an app's test servers only.
        root: the public key (DER) that chains end at.

    Raises:
        ValueError: an app id that no app would have.
    """

    def __init__(
        self,
        app_ids: Iterable[str],
        *,
        counters: Counters | None = None,
        is_development_allowed: bool = False,
        root: bytes = APPLE_ROOT,
    ) -> None:
        self._apps = _Apps(app_ids)
        self._counters = counters
        self._is_development_allowed = is_development_allowed
        self._root = root

    def verify(self, evidence: Evidence, binding: Binding, now_ms: int) -> Proof:
        """See `Verifier.verify`."""
        assert isinstance(evidence, AppAttestation)
        attested = self.attested(evidence.attestation, evidence.key_id, binding.digest, now_ms)
        if self._counters is not None:
            key = AttestedKey(attested.public_key, attested.app_id, attested.is_production)
            self._counters.keep(attested.key_id, binding.install_id, key)
        facts = {"app_id": attested.app_id, "key_id": attested.key_id.hex()}
        facts["environment"] = "production" if attested.is_production else "development"
        return Proof(Level.APP_ATTEST, attested.digest, attested.public_key, facts)

    def attested(self, attestation: bytes, key_id: bytes, client_data_hash: bytes, now_ms: int) -> Attested:
        """What the object attests for that hash.

        Raises:
            Refused: it does not.
        """
        chain, data = _read_attestation(attestation)
        leaf = self._leaf_of(chain, now_ms)
        point = _point_of(leaf)
        self._require_nonce(leaf, data + client_data_hash)
        if not hmac.compare_digest(hashlib.sha256(point).digest(), key_id):
            raise Refused(Reason.KEY_MISMATCH, "the key id is not that of the certificate's key")
        app_id = self._apps.of(data[:32])
        is_production = self._require_key_data(data, key_id, point)
        digest = hashlib.sha256(leaf.tbs_certificate_bytes + data).digest()
        return Attested(key_id, certificates.public_key_of(leaf), app_id, is_production, digest)

    def _leaf_of(self, chain: list[Certificate], now_ms: int) -> Certificate:
        certificates.require_chain(chain, self._root)
        certificates.require_authority(chain[1])
        for certificate in chain:
            certificates.require_begun(certificate, now_ms)
            certificates.require_not_over(certificate, now_ms)
        return chain[0]

    @staticmethod
    def _require_nonce(leaf: Certificate, signed: bytes) -> None:
        expected = _NONCE_HEADER + hashlib.sha256(signed).digest()
        if not hmac.compare_digest(certificates.extension_of(leaf, _NONCE_EXTENSION) or b"", expected):
            raise Refused(Reason.BINDING_MISMATCH, "the certificate was made for other data")

    def _require_key_data(self, data: bytes, key_id: bytes, point: bytes) -> bool:
        """Refuse what does not fit behind the app's hash; whether the rest says production."""
        if len(data) <= _ATTESTATION_HEAD_BYTES or data[32] & (_HAS_KEY | _HAS_EXTENSIONS) != _HAS_KEY:
            raise Refused(Reason.MALFORMED, "authenticator data without an attested key")
        if _counter_of(data) != 0:
            raise Refused(Reason.COUNTER_NOT_GREATER, "an attestation counts zero")
        self._require_environment(data[37:53])
        if data[53:_ATTESTATION_HEAD_BYTES] != bytes([0, 32]) + key_id or cbor.read(data[87:]) != _cose_key(point):
            raise Refused(Reason.KEY_MISMATCH, "the authenticator data holds another key")
        return data[37:53] == PRODUCTION

    def _require_environment(self, aaguid: bytes) -> None:
        if aaguid != PRODUCTION and not (aaguid == DEVELOPMENT and self._is_development_allowed):
            raise Refused(Reason.WRONG_ENVIRONMENT, f"AAGUID {aaguid.hex()}")


class AppAssert:
    """Verifies an assertion (`Kind.APP_ATTEST_ASSERTION`) of a key that was attested for the same install before.

    Args:
        app_ids: as of `AppAttest`.
        counters: where `AppAttest` kept the key.
        is_development_allowed: as of `AppAttest`; it may have kept keys for a test server in the same place.

    Raises:
        ValueError: as of `AppAttest`.
    """

    def __init__(self, app_ids: Iterable[str], counters: Counters, *, is_development_allowed: bool = False) -> None:
        self._apps = _Apps(app_ids)
        self._counters = counters
        self._is_development_allowed = is_development_allowed

    def verify(self, evidence: Evidence, binding: Binding, now_ms: int) -> Proof:  # noqa: ARG002 - the challenge has the time
        """See `Verifier.verify`."""
        assert isinstance(evidence, AppAssertion)
        key = self._counters.find(evidence.key_id, binding.install_id)
        if key is None:
            raise Refused(Reason.KEY_UNKNOWN, "no key with that id was attested for this install")
        if not key.is_production and not self._is_development_allowed:
            raise Refused(Reason.WRONG_ENVIRONMENT, "the key was attested for a development build")
        asserted = self.asserted(evidence.assertion, key.public_key, binding.digest)
        if asserted.app_id != key.app_id:
            raise Refused(Reason.WRONG_APP, f"the key was attested for {key.app_id}")
        if not self._counters.advance(evidence.key_id, asserted.counter):
            raise Refused(Reason.COUNTER_NOT_GREATER, f"counter {asserted.counter} came before")
        facts = {"key_id": evidence.key_id.hex(), "counter": str(asserted.counter)}
        return Proof(Level.APP_ATTEST, asserted.digest, key.public_key, facts)

    def asserted(self, assertion: bytes, public_key: bytes, client_data_hash: bytes) -> Asserted:
        """What an assertion by this key says over that hash; neither app nor counter are compared with the key's here.

        Raises:
            Refused: it is none.
        """
        members = _members(cbor.read(assertion), {"signature", "authenticatorData"})
        signature, data = _bytes_of(members["signature"]), _bytes_of(members["authenticatorData"])
        if len(data) != _ASSERTION_BYTES:
            raise Refused(Reason.MALFORMED, "authenticator data of another form")
        app_id = self._apps.of(data[:32])
        nonce = hashlib.sha256(data + client_data_hash).digest()
        _require_signature(public_key, signature, nonce)
        return Asserted(app_id, _counter_of(data), hashlib.sha256(public_key + nonce).digest())


class _Apps:
    """App ids by the SHA-256 that devices send of them."""

    def __init__(self, app_ids: Iterable[str]) -> None:
        kept = tuple(app_ids)  # of a single text, its letters
        if not all("." in app_id for app_id in kept):
            raise ValueError(f"app ids are a list of team id, dot and bundle id, not {app_ids!r}")
        self._by_hash = {hashlib.sha256(app_id.encode()).digest(): app_id for app_id in kept}

    def of(self, hash_: bytes) -> str:
        app_id = self._by_hash.get(hash_)
        if app_id is None:
            raise Refused(Reason.WRONG_APP, "the hash is of none of the app ids")
        return app_id


def _read_attestation(attestation: bytes) -> tuple[list[Certificate], bytes]:
    """The chain, leaf first, and the authenticator data."""
    members = _members(cbor.read(attestation), {"fmt", "attStmt", "authData"})
    statement = _members(members["attStmt"], {"x5c", "receipt"})
    if members["fmt"] != _FORMAT:
        raise Refused(Reason.MALFORMED, "another format than App Attest's")
    _bytes_of(statement["receipt"])
    chain = statement["x5c"]
    if not isinstance(chain, list) or len(chain) != 2:
        raise Refused(Reason.MALFORMED, "not a chain of two certificates")
    data = _bytes_of(members["authData"])
    return [certificates.read_certificate(_bytes_of(certificate)) for certificate in chain], data


def _point_of(leaf: Certificate) -> bytes:
    """The certificate's key as an uncompressed point on P-256."""
    key = load_der_public_key(certificates.public_key_of(leaf))
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused(Reason.KEY_MISMATCH, "the key is not on P-256")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _cose_key(point: bytes) -> cbor.Value:
    """The same point as RFC 9053 writes it: an EC2 key for ES256 on P-256."""
    return {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}


def _counter_of(data: bytes) -> int:
    return int.from_bytes(data[33:37], "big")


def _require_signature(public_key: bytes, signature: bytes, signed: bytes) -> None:
    key = load_der_public_key(public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey), "AppAttest keeps no other"
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(Reason.BAD_SIGNATURE, "not this key's signature over this data") from None


def _members(value: cbor.Value, names: set[str]) -> dict[int | str, cbor.Value]:
    if not isinstance(value, dict) or value.keys() != names:
        raise Refused(Reason.MALFORMED, f"not exactly the members {', '.join(sorted(names))}")
    return value


def _bytes_of(value: cbor.Value) -> bytes:
    if not isinstance(value, bytes):
        raise Refused(Reason.MALFORMED, "no byte string where one belongs")
    return value

"""Chains of certificates up to a public key that is known beforehand.

Only what both platforms need, on cryptography's parser: who issued whom (name and signature) and when. What Android
means by validity is decided in `android_key`. The revocation lists that certificates name are not fetched.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from unbroken.backend.attestation import der
from unbroken.backend.attestation.refused import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_RSA_MIN_BITS: Final = 2048


def read_certificate(data: bytes) -> x509.Certificate:
    """A certificate in DER, each part of which can be read.

    Raises:
        Refused: `malformed`.
    """
    try:
        certificate = x509.load_der_x509_certificate(data)
        _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.signature_hash_algorithm
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc  # DER has a year 0, and Python has none
    except Exception as error:  # noqa: BLE001 - what cryptography raises is no closed set, and this is a stranger's input
        raise Refused(Reason.MALFORMED, f"certificate: {error}") from None
    return certificate


def public_key_of(certificate: x509.Certificate) -> bytes:
    """The public key as SubjectPublicKeyInfo in DER; raises `Refused`, `malformed`."""
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception as error:  # noqa: BLE001 - as above
        raise Refused(Reason.MALFORMED, f"public key: {error}") from None


def extension_of(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    """The bytes of an extension that cryptography does not know itself."""
    try:
        extension = certificate.extensions.get_extension_for_oid(oid)
    except x509.ExtensionNotFound:
        return None
    return extension.value.public_bytes()


def require_chain(chain: Sequence[x509.Certificate], anchor: bytes) -> None:
    """Refuse a chain, leaf first, in which a name or a signature does not fit, up to the key `anchor` (DER).

    It goes down from the anchor, so that no key is used that nobody vouched for.

    Raises:
        Refused: `broken_chain` or `bad_signature`.
    """
    require_signed(chain[-1], anchor)
    for issuer, certificate in pairwise(reversed(chain)):
        if certificate.issuer != issuer.subject:
            raise Refused(Reason.BROKEN_CHAIN, f"{_name(certificate)} names another issuer than {_name(issuer)}")
        require_signed(certificate, public_key_of(issuer))


def require_signed(certificate: x509.Certificate, key: bytes) -> None:
    """Refuse a certificate that this key (DER) did not sign.

    Raises:
        Refused: `bad_signature`, also for hashes and keys that nobody should sign with.
    """
    try:
        _verify(certificate, key)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise Refused(Reason.BAD_SIGNATURE, f"{_name(certificate)}: {error}") from None


def require_authority(certificate: x509.Certificate) -> None:
    """Refuse an issuer that may not issue; raises `Refused`, `broken_chain`."""
    try:
        may_issue = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        may_issue = False
    if not may_issue:
        raise Refused(Reason.BROKEN_CHAIN, f"{_name(certificate)} is no certificate authority")


def require_begun(certificate: x509.Certificate, now_ms: int) -> None:
    """Refuse a certificate that is not valid yet; raises `Refused`, `certificate_not_valid_now`."""
    if _instant(now_ms) < certificate.not_valid_before_utc:
        raise Refused(Reason.CERTIFICATE_NOT_VALID_NOW, f"{_name(certificate)} is not valid yet")


def require_not_over(certificate: x509.Certificate, now_ms: int) -> None:
    """Refuse a certificate that is not valid any more; raises `Refused`, `certificate_not_valid_now`."""
    if _instant(now_ms) > certificate.not_valid_after_utc:
        raise Refused(Reason.CERTIFICATE_NOT_VALID_NOW, f"{_name(certificate)} is not valid any more")


def _verify(certificate: x509.Certificate, key_der: bytes) -> None:
    key = load_der_public_key(key_der)
    method, hash_ = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
    if not isinstance(hash_, _HASHES) or not _has_one_form(certificate):
        raise ValueError("a signature algorithm that is not taken")
    signed, signature = certificate.tbs_certificate_bytes, certificate.signature
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(method, ec.ECDSA):
        key.verify(signature, signed, method)
    elif isinstance(key, rsa.RSAPublicKey) and isinstance(method, padding.PKCS1v15) and key.key_size >= _RSA_MIN_BITS:
        key.verify(signature, signed, method, hash_)
    else:
        raise ValueError("a signature of another kind than the issuer's key")


def _has_one_form(certificate: x509.Certificate) -> bool:
    """Whether what nobody signs is as it must be.

    The algorithm is the one that is signed (RFC 5280, 4.1.1.2), and the signature is whole bytes: cryptography passes
    over how many of its bits are said to be unused.
    """
    whole = der.members_of(der.read_element(certificate.public_bytes(Encoding.DER)))
    signed = der.members_of(whole[0])
    version_and_serial = 2 if signed[0].identifier == der.CONTEXT else 1
    return whole[1] == signed[version_and_serial] and whole[2].content[:1] == b"\x00"


def _instant(now_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=now_ms)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"

"""A certificate authority in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

DAY_MS: Final = 86_400_000
YEAR_MS: Final = 365 * DAY_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_P384: Final[ec.EllipticCurve] = ec.SECP384R1()


def new_key(curve: ec.EllipticCurve = _P384) -> ec.EllipticCurvePrivateKey:
    """A key on P-384, or on another curve."""
    return ec.generate_private_key(curve)


def public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half as SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def name(**parts: str) -> x509.Name:
    """A name of the parts that are named like members of `x509.NameOID` (`COMMON_NAME="..."`)."""
    return x509.Name([x509.NameAttribute(getattr(x509.NameOID, part), value) for part, value in parts.items()])


@dataclass(frozen=True, slots=True)
class Life:
    """When a certificate is valid."""

    begins_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Authority:
    """A name with a key, and the certificate in which its issuer says that they belong together."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def root(cls, subject: x509.Name, life: Life) -> Authority:
        """An authority that vouches for itself."""
        key = new_key()
        return cls(key, _signed(key, subject, key.public_key(), subject, life, is_authority=True))

    def authority(self, subject: x509.Name, life: Life) -> Authority:
        """An authority below this one."""
        key = new_key()
        return Authority(key, self.issue(subject, key.public_key(), life, is_authority=True))

    def issue(
        self,
        subject: x509.Name,
        key: CertificatePublicKeyTypes,
        life: Life,
        extensions: Mapping[str, bytes] | None = None,
        *,
        is_authority: bool = False,
    ) -> x509.Certificate:
        """A certificate by this authority; `extensions` are by dotted object identifier."""
        issuer = self.certificate.subject
        return _signed(self.key, issuer, key, subject, life, extensions, is_authority=is_authority)

    @property
    def public_key(self) -> bytes:
        """In DER: what a verifier has as its anchor."""
        return public_der(self.key)


def encoded(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(Encoding.DER)


def _signed(
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    subject: x509.Name,
    life: Life,
    extensions: Mapping[str, bytes] | None = None,
    *,
    is_authority: bool,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(_instant(life.begins_ms)).not_valid_after(_instant(life.ends_ms))
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    for oid, value in (extensions or {}).items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _instant(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)

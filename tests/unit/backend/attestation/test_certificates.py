"""Which signatures on certificates are taken."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from unbroken.backend.attestation import Reason, Refused, certificates, der
from unbroken.testing.attestation.encoding import element, sequence
from unbroken.testing.attestation.issuing import name

P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)
NAME = name(COMMON_NAME="itself")


def signed_by(key, hash_, **how):
    """A certificate of this key by itself."""
    builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), 1)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2027, 1, 1, tzinfo=UTC)
    )
    return builder.sign(key, hash_, **how)


def require_signed_by_itself(certificate):
    certificates.require_signed(certificate, certificates.public_key_of(certificate))


@pytest.mark.parametrize("hash_", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda hash_: hash_.name)
@pytest.mark.parametrize("key", [P256, P384, RSA], ids=["P-256", "P-384", "RSA"])
def test_todays_signatures_are_taken(key, hash_):
    require_signed_by_itself(signed_by(key, hash_))


@pytest.mark.parametrize(
    "certificate",
    [
        signed_by(P256, hashes.SHA224()),
        signed_by(RSA, hashes.SHA224()),
        signed_by(SHORT_RSA, hashes.SHA256()),
        signed_by(RSA, hashes.SHA256(), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), 32)),
        signed_by(ed25519.Ed25519PrivateKey.generate(), None),
    ],
    ids=["P-256 with SHA-224", "RSA with SHA-224", "short RSA", "RSA-PSS", "Ed25519"],
)
def test_other_signatures_are_not(certificate):
    with pytest.raises(Refused) as caught:
        require_signed_by_itself(certificate)
    assert caught.value.code == Reason.BAD_SIGNATURE


def test_a_certificate_says_its_algorithm_twice_and_alike():
    whole = der.members_of(der.read_element(signed_by(RSA, hashes.SHA256()).public_bytes(Encoding.DER)))
    oid, null = der.members_of(whole[1])
    assert (null.identifier, null.content) == (der.NULL, b"")
    without_null = sequence([element(oid.identifier, oid.content)])  # cryptography takes it for the same algorithm
    parts = [sequence([whole[0].content]), without_null, element(whole[2].identifier, whole[2].content)]
    changed = certificates.read_certificate(sequence(parts))
    assert changed.signature_hash_algorithm.name == "sha256"
    with pytest.raises(Refused) as caught:
        require_signed_by_itself(changed)
    assert caught.value.code == Reason.BAD_SIGNATURE


def test_a_signature_uses_all_its_bits():
    """Found by fuzzing: one that ends in a zero bit could say that the bit is not there, and was taken."""
    ends_in_zero = (signed_by(P256, hashes.SHA256()) for _ in range(1_000))
    genuine = next(certificate for certificate in ends_in_zero if certificate.signature[-1] & 1 == 0)
    require_signed_by_itself(genuine)
    data = genuine.public_bytes(Encoding.DER)
    at = len(data) - len(genuine.signature) - 1
    changed = certificates.read_certificate(data[:at] + b"\x01" + data[at + 1 :])
    assert changed.signature == genuine.signature
    with pytest.raises(Refused) as caught:
        require_signed_by_itself(changed)
    assert caught.value.code == Reason.BAD_SIGNATURE


def test_another_key_signed_nothing():
    other = certificates.public_key_of(signed_by(RSA, hashes.SHA256()))
    with pytest.raises(Refused) as caught:
        certificates.require_signed(signed_by(P256, hashes.SHA256()), other)
    assert caught.value.code == Reason.BAD_SIGNATURE

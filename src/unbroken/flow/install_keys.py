"""Install keys as the platform sees them: their public halves, and whether a spending was signed by the other half.

Ed25519 is what the SDK makes by itself; ECDSA on P-256 with SHA-256, signatures in DER, is what the hardware of phones
keeps. No other kind is taken.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from unbroken import install_key
from unbroken.domain.errors import InvalidRequest


def read_public_key(text: str) -> bytes:
    """A public key as it is kept: SubjectPublicKeyInfo in DER.

    Raises:
        InvalidRequest: it is of neither kind, or is written otherwise than such a key is.
    """
    content = install_key.read(text)
    if not is_public_key(content):
        message = "must be an Ed25519 or P-256 public key: SubjectPublicKeyInfo in DER, in base64url"
        raise InvalidRequest(f"The install key {message}.", details=(("install_key", message),))
    return content


def is_public_key(content: bytes) -> bool:
    """Whether this is what `read_public_key` gives: each key is written in one way."""
    key = _load(content)
    return key is not None and key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == content


def is_signed(public_key: bytes, proof: str, message: bytes) -> bool:
    """Whether the holder of the private half signed this message.

    Args:
        public_key: as `read_public_key` gave it.
        proof: the signature, in base64url.
    """
    key, signature = _load(public_key), install_key.read(proof)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        elif key is not None:
            key.verify(signature, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return key is not None


def _load(content: bytes) -> Ed25519PublicKey | EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, EllipticCurvePublicKey) and not isinstance(key.curve, SECP256R1):
        return None
    return key if isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey) else None

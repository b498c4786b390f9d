"""The tokens of Play Integrity's classic requests: signed with ES256, and encrypted with A256KW and A256GCM.

Both layers are compact (RFC 7515, RFC 7516). The algorithms are these and no other, whatever a token says. Base64url
has one form: without padding, and with no bit set that carries nothing.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import load_der_public_key

from unbroken import wire
from unbroken.backend.attestation.refused import Reason, Refused
from unbroken.backend.strict_json import read_strict_json

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_COORDINATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ResponseKeys:
    """The keys that the Play Console shows where the app manages its own ("Manage and download my response keys").

    Args:
        decryption_key: 32 bytes, secret.
        verification_key: Google's public key on P-256, in DER.

    Raises:
        ValueError: they are not such keys.
    """

    decryption_key: bytes = field(repr=False)
    verification_key: bytes

    def __post_init__(self) -> None:
        if len(self.decryption_key) != _KEY_BYTES:
            raise ValueError(f"the decryption key has {_KEY_BYTES} bytes")
        _p256(self.verification_key)

    @classmethod
    def of_console(cls, decryption_key: str, verification_key: str) -> ResponseKeys:
        """The keys as the console shows them, in base64; raises `ValueError`, without a key in it."""
        try:
            decryption, verification = (base64.b64decode(k, validate=True) for k in (decryption_key, verification_key))
        except binascii.Error:
            raise ValueError("a response key is not base64") from None
        return cls(decryption, verification)


class Opened(NamedTuple):
    """What was in a token: the payload, and the bytes that its signature is over."""

    payload: bytes
    signed: bytes


class _Header(msgspec.Struct):
    alg: str
    enc: str | None = None
    zip: str | None = None
    crit: list[str] | None = None


def open_token(token: str, keys: ResponseKeys) -> Opened:
    """Decrypt and verify.

    Raises:
        Refused: `malformed`, `algorithm_not_allowed`, `not_decrypted` or `bad_signature`.
    """
    return _verified(_decrypted(token, keys.decryption_key), keys.verification_key)


def from_base64url(text: str) -> bytes:
    """The bytes of a text that is their one form; raises `Refused`, `malformed`."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (ValueError, UnicodeEncodeError):  # binascii.Error is a ValueError
        raise _unreadable("a part is not base64url") from None
    if to_base64url(data) != text:
        raise _unreadable("a part is not the one base64url of its bytes")
    return data


def to_base64url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decrypted(token: str, key: bytes) -> str:
    header, wrapped, nonce, ciphertext, tag = _parts(token, 5)
    _require_algorithms(header, "A256KW", "A256GCM")
    if len(from_base64url(nonce)) != _NONCE_BYTES or len(from_base64url(tag)) != _TAG_BYTES:
        raise _unreadable("a nonce or tag of another size")
    sealed = from_base64url(ciphertext) + from_base64url(tag)
    try:
        content_key = aes_key_unwrap(key, from_base64url(wrapped))
        if len(content_key) != _KEY_BYTES:
            raise Refused(Reason.NOT_DECRYPTED, "a content key of another size")
        return AESGCM(content_key).decrypt(from_base64url(nonce), sealed, header.encode()).decode("ascii")
    except (InvalidUnwrap, InvalidTag) as error:
        raise Refused(Reason.NOT_DECRYPTED, type(error).__name__) from None
    except UnicodeDecodeError:
        raise _unreadable("what was encrypted is no token") from None


def _verified(token: str, key: bytes) -> Opened:
    header, payload, signature = _parts(token, 3)
    _require_algorithms(header, "ES256", None)
    raw, signed = from_base64url(signature), f"{header}.{payload}".encode()
    if len(raw) != 2 * _COORDINATE_BYTES:
        raise Refused(Reason.BAD_SIGNATURE, "a signature of another size")
    r, s = (int.from_bytes(half, "big") for half in (raw[:_COORDINATE_BYTES], raw[_COORDINATE_BYTES:]))
    try:
        _p256(key).verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(Reason.BAD_SIGNATURE, "not Google's signature under the app's key") from None
    return Opened(from_base64url(payload), signed)


def _require_algorithms(header: str, alg: str, enc: str | None) -> None:
    try:
        said = wire.convert(read_strict_json(from_base64url(header)), _Header)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise _unreadable("a header is not one") from None
    if (said.alg, said.enc, said.zip, said.crit) != (alg, enc, None, None):
        raise Refused(Reason.ALGORITHM_NOT_ALLOWED, f"{said}"[:200])


def _parts(token: str, count: int) -> list[str]:
    parts = token.split(".")
    if len(parts) != count:
        raise _unreadable(f"not {count} parts")
    return parts


def _p256(key: bytes) -> ec.EllipticCurvePublicKey:
    loaded = load_der_public_key(key)
    if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise ValueError("the verification key is not on P-256")  # noqa: TRY004 - a value of a right type
    return loaded


def _unreadable(detail: str) -> Refused:
    return Refused(Reason.MALFORMED, f"token: {detail}")

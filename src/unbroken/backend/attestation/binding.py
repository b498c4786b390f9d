"""What a proof is bound to, so that it is worth nothing for another app, install, key or occasion.

Device and server compute the same bytes; their SHA-256 goes into the one field that each platform signs: the client
data hash of App Attest, the challenge of Android Key Attestation, nonce or request hash of Play Integrity.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

CHALLENGE_BYTES: Final = 32

_PURPOSE: Final = b"unb-link/1"
_PART_MAX_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class Binding:
    """What one proof must be for. Who is signed in is not in it: the server keeps that with the challenge.

    Args:
        app_id: the app, 24 hex characters.
        install_id: the install, the same.
        install_key: the public key that the install has besides, if the app makes one; else empty. A key that the
            proof itself attests is not known yet when the proof is asked for, so it is never in here.
        challenge: what `GET /challenge` gave out, 32 bytes.

    Raises:
        ValueError: a part is too long, or the challenge has another size.
    """

    app_id: str
    install_id: str
    install_key: bytes = field(repr=False)
    challenge: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.challenge) != CHALLENGE_BYTES:
            raise ValueError(f"a challenge has {CHALLENGE_BYTES} bytes")
        if max(map(len, self._parts)) > _PART_MAX_BYTES:
            raise ValueError(f"a part of a binding has at most {_PART_MAX_BYTES} bytes")

    @property
    def client_data(self) -> bytes:
        """`unb-link/1`, then app id, install id and install key, each after one byte for its length; the challenge."""
        return _PURPOSE + b"".join(bytes([len(part)]) + part for part in self._parts) + self.challenge

    @property
    def digest(self) -> bytes:
        """SHA-256 of the client data."""
        return hashlib.sha256(self.client_data).digest()

    def is_said_by(self, text: str) -> bool:
        """Whether `text` is the digest in base64url, as Play Integrity carries it, with or without padding."""
        padded = base64.urlsafe_b64encode(self.digest)
        said = text.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(said, padded) | hmac.compare_digest(said, padded.rstrip(b"="))

    @property
    def _parts(self) -> tuple[bytes, bytes, bytes]:
        return self.app_id.encode(), self.install_id.encode(), self.install_key

"""A fake Google Play: verdicts in the tokens of classic and of standard requests."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from unbroken.backend.attestation.jose import ResponseKeys, to_base64url
from unbroken.randomness import SystemRandomness
from unbroken.testing.attestation.issuing import new_key, public_der

if TYPE_CHECKING:
    from collections.abc import Mapping

_JWE_HEADER: Final = {"alg": "A256KW", "enc": "A256GCM"}
_JWS_HEADER: Final = {"alg": "ES256"}


def verdict(package: str, signer: bytes, bound_to: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """What Google says of a phone and an app that lack nothing.

    Args:
        bound_to: `{"nonce": ...}` of a classic request, or `{"requestHash": ...}` of a standard one.
    """
    return {
        "requestDetails": {"requestPackageName": package, "timestampMillis": str(now_ms), **bound_to},
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED",
            "packageName": package,
            "certificateSha256Digest": [to_base64url(signer)],
            "versionCode": "42",
        },
        "deviceIntegrity": {
            "deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"]
        },
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
    }


class Play:
    """One app's keys, and the tokens of standard requests that only this Google can decode."""

    def __init__(self) -> None:
        self._signing = new_key(ec.SECP256R1())
        self._randomness = SystemRandomness()
        self.keys = ResponseKeys(self._randomness.secret(32), public_der(self._signing))
        self.decodings: list[str] = []
        """The tokens that were decoded, in order."""
        self._verdicts: dict[str, dict[str, Any]] = {}

    def classic_token(
        self,
        payload: Mapping[str, Any] | bytes,
        *,
        jwe: Mapping[str, Any] = _JWE_HEADER,
        jws: Mapping[str, Any] = _JWS_HEADER,
        keys: ResponseKeys | None = None,
        signing: ec.EllipticCurvePrivateKey | None = None,
    ) -> str:
        """A token as a classic request gets it; headers and keys can be made wrong."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signed = f"{_part(jws)}.{to_base64url(body)}"
        r, s = decode_dss_signature((signing or self._signing).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        token = f"{signed}.{to_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        return self.encrypted(token.encode(), jwe=jwe, keys=keys)

    def encrypted(
        self,
        content: bytes,
        *,
        jwe: Mapping[str, Any] = _JWE_HEADER,
        keys: ResponseKeys | None = None,
        content_key_bytes: int = 32,
    ) -> str:
        """Anything in the outer layer."""
        content_key, nonce = self._randomness.secret(content_key_bytes), self._randomness.secret(12)
        header = _part(jwe)
        sealed = AESGCM(content_key).encrypt(nonce, content, header.encode())
        wrapped = aes_key_wrap((keys or self.keys).decryption_key, content_key)
        parts = (wrapped, nonce, sealed[:-16], sealed[-16:])
        return ".".join([header, *map(to_base64url, parts)])

    def standard_token(self, payload: dict[str, Any]) -> str:
        """A token as a standard request gets it: nobody but `decode` knows what is in it."""
        token = to_base64url(self._randomness.secret(300))
        self._verdicts[token] = payload
        return token

    def decode(self, token: str) -> dict[str, Any] | None:
        """What Google answers for a token: None for one it does not know, no verdicts from the second time on."""
        payload = copy.deepcopy(self._verdicts.get(token))
        if payload is not None and token in self.decodings:
            payload |= {"appIntegrity": {"appRecognitionVerdict": "UNEVALUATED"}, "deviceIntegrity": {}}
        self.decodings.append(token)
        return payload


def _part(header: Mapping[str, Any]) -> str:
    return to_base64url(json.dumps(header).encode())

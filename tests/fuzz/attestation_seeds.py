"""What the readers of device attestation are fuzzed from: what fake authorities make, and what real devices sent."""

from __future__ import annotations

import base64
import hashlib

NOW_MS = 1_790_000_000_000
PACKAGE = "com.example.app"
APP_ID = f"A1B2C3D4E5.{PACKAGE}"
SIGNER = hashlib.sha256(b"signer").digest()
HASH = hashlib.sha256(b"client data").digest()


def attested() -> tuple[bytes, bytes, bytes]:
    from unbroken.testing.attestation.apple import AppAttestKey, Apple, Claims

    apple = Apple(NOW_MS)
    key = AppAttestKey(apple)
    return key.attest(Claims(app_id=APP_ID, client_data_hash=HASH), NOW_MS), key.key_id, apple.root.public_key


def attestation() -> bytes:
    return vectors("attestations")[0].attestation


def assertion_and_key() -> tuple[bytes, bytes]:
    from unbroken.testing.attestation.apple import AppAttestKey, Apple
    from unbroken.testing.attestation.issuing import public_der

    key = AppAttestKey(Apple(NOW_MS))
    return key.sign(APP_ID, HASH), public_der(key._key)


def assertion() -> bytes:
    return assertion_and_key()[0]


def description() -> bytes:
    from unbroken.testing.attestation.android import Description

    return Description(challenge=HASH, packages=[PACKAGE], signers=[SIGNER]).encode()


def android() -> tuple[frozenset[bytes], list[bytes]]:
    from unbroken.testing.attestation.android import KeyRoots, SecureHardware

    roots = KeyRoots(NOW_MS)
    return roots.public_keys, SecureHardware(roots, NOW_MS).make_key(description())[1]


def verifier(roots: frozenset[bytes]):
    from unbroken.backend.attestation.android_key import AndroidKeyAttest
    from unbroken.backend.attestation.revocation import RevocationList

    revocations = type("Listed", (), {"current": lambda _, now_ms: RevocationList(frozenset(), now_ms)})()
    return AndroidKeyAttest({PACKAGE}, {SIGNER}, revocations, roots=roots)


def chain() -> list[bytes]:
    return android()[1]


def play():
    """Who made it, the inner layer, and the whole token."""
    from unbroken.backend.attestation import jose
    from unbroken.testing.attestation.play import Play

    play = Play()
    whole = play.classic_token(verdict(HASH))
    return play, jose._decrypted(whole, play.keys.decryption_key).encode(), whole.encode()


def verdict(digest: bytes):
    from unbroken.testing.attestation.play import verdict

    return verdict(PACKAGE, SIGNER, {"nonce": base64url(digest)}, NOW_MS)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def vectors(kind: str) -> list:
    from tests.unit.backend.attestation import vectors

    return getattr(vectors, kind)()


def extension_of(certificate: bytes) -> bytes:
    from cryptography import x509

    from unbroken.backend.attestation import certificates
    from unbroken.testing.attestation.android import KEY_DESCRIPTION

    read = certificates.read_certificate(certificate)
    return certificates.extension_of(read, x509.ObjectIdentifier(KEY_DESCRIPTION)) or b""


def split(data: bytes) -> list[bytes]:
    """Certificates of up to 64 KiB, one after the other."""
    parts = []
    while data:
        size = 4 + int.from_bytes(data[2:4], "big")
        parts.append(data[:size])
        data = data[size:]
    return parts or [b""]

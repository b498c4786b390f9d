"""The readers of device attestation: what comes in is a stranger's, up to the last signature."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from tests.fuzz.table import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOW_MS = 1_790_000_000_000
PACKAGE = "com.example.app"
APP_ID = f"A1B2C3D4E5.{PACKAGE}"
SIGNER = hashlib.sha256(b"signer").digest()
HASH = hashlib.sha256(b"client data").digest()


def targets() -> Mapping[str, Callable[[], Target]]:
    return {
        "cbor": cbor,
        "der": der,
        "certificate": certificate,
        "app-attest": app_attest,
        "assertion": assertion,
        "android-key": android_key,
        "signed-by-genuine": signed_by_genuine,
        "token": token,
        "jws": jws,
        "verdict": verdict,
        "evidence": evidence,
        "revocation-list": revocation_list,
    }


def cbor() -> Target:
    """What is read is written back as the same bytes: there is one encoding."""
    from unbroken.backend.attestation import Refused, cbor
    from unbroken.testing.attestation import encoding

    def run(data: bytes) -> None:
        try:
            value = cbor.read(data)
        except Refused:
            return
        assert encoding.cbor(value) == data

    return Target(run, [_attestation(), _assertion(), encoding.cbor({1: 2, 3: -7, -1: 1, -2: HASH, -3: HASH})])


def der() -> Target:
    from unbroken.backend.attestation import Refused, key_description

    def run(data: bytes) -> None:
        try:
            key_description.read_key_description(data)
        except Refused:
            return

    real = [_extension_of(vector.chain[0]) for vector in _vectors("chains")]
    return Target(run, [_description(), *real])


def certificate() -> Target:
    from unbroken.backend.attestation import Refused, certificates

    def run(data: bytes) -> None:
        try:
            read = certificates.read_certificate(data)
            certificates.public_key_of(read)
            certificates.require_signed(read, b"")
        except Refused:
            return
        raise AssertionError("signed by no key")

    real = [each for vector in _vectors("chains") for each in vector.chain]
    return Target(run, [*_chain(), *real])


def app_attest() -> Target:
    """Nothing but the genuine object is taken, whatever its receipt."""
    from unbroken.backend.attestation import Refused
    from unbroken.backend.attestation import cbor as reader
    from unbroken.backend.attestation.app_attest import AppAttest

    genuine, key_id, root = _attested()
    verifier = AppAttest([APP_ID], root=root)

    def without_receipt(data: bytes) -> object:
        value = reader.read(data)
        del value["attStmt"]["receipt"]
        return value

    def run(data: bytes) -> None:
        try:
            verifier.attested(data, key_id, HASH, NOW_MS)
        except Refused:
            return
        assert without_receipt(data) == without_receipt(genuine)

    run(genuine)
    return Target(run, [genuine])


def assertion() -> Target:
    """Nothing but the genuine object is taken."""
    from unbroken.backend.attestation import Refused
    from unbroken.backend.attestation.app_attest import AppAssert
    from unbroken.backend.attestation.counters import MemoryCounters

    genuine, public_key = _assertion_and_key()
    verifier = AppAssert([APP_ID], MemoryCounters())

    def run(data: bytes) -> None:
        try:
            verifier.asserted(data, public_key, HASH)
        except Refused:
            return
        assert data == genuine

    run(genuine)
    return Target(run, [genuine])


def android_key() -> Target:
    """Nothing but the genuine chain is taken; certificates follow each other, as DER says how long each is."""
    from unbroken.backend.attestation import Refused

    roots, chain = _android()
    verifier = _verifier(roots)
    genuine = b"".join(chain)

    def run(data: bytes) -> None:
        try:
            verifier.attested(_split(data), HASH, NOW_MS)
        except Refused:
            return
        assert data == genuine

    run(genuine)
    return Target(run, [genuine])


def signed_by_genuine() -> Target:
    """Whoever owns a genuine phone has its key sign what he likes: two certificates more, the upper one changed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from unbroken.backend.attestation import Refused, der
    from unbroken.testing.attestation.android import KEY_DESCRIPTION, KeyRoots, SecureHardware
    from unbroken.testing.attestation.encoding import element, sequence
    from unbroken.testing.attestation.issuing import YEAR_MS, Authority, Life, encoded, name

    roots = KeyRoots(NOW_MS)
    key, chain = SecureHardware(roots, NOW_MS).make_key(_description())
    genuine = Authority(key, x509.load_der_x509_certificate(chain[0]))
    life = Life(NOW_MS - YEAR_MS, NOW_MS + YEAR_MS)
    upper = genuine.issue(name(COMMON_NAME="y"), key.public_key(), life)
    described = {KEY_DESCRIPTION: _description()}
    lower = Authority(key, upper).issue(name(COMMON_NAME="x"), key.public_key(), life, described)
    algorithm = element(der.SEQUENCE, der.members_of(der.read_element(encoded(upper)))[1].content)
    verifier = _verifier(roots.public_keys)

    def run(data: bytes) -> None:
        signature = element(0x03, b"\0" + key.sign(data, ec.ECDSA(hashes.SHA256())))
        try:
            verifier.attested([encoded(lower), sequence([data, algorithm, signature]), *chain], HASH, NOW_MS)
        except Refused:
            return
        raise AssertionError("a forged chain is taken")

    return Target(run, [upper.tbs_certificate_bytes])


def token() -> Target:
    """Nothing but the genuine token is taken."""
    from unbroken.backend.attestation import Refused, jose

    play, _, genuine = _play()

    def run(data: bytes) -> None:
        try:
            jose.open_token(data.decode("latin-1"), play.keys)
        except Refused:
            return
        assert data == genuine

    run(genuine)
    return Target(run, [genuine])


def jws() -> Target:
    """The inner layer, which only who has the app's key could reach."""
    from unbroken.backend.attestation import Refused, jose

    play, signed, _ = _play()

    def run(data: bytes) -> None:
        try:
            jose._verified(data.decode("latin-1"), play.keys.verification_key)
        except Refused:
            return
        assert data == signed

    run(signed)
    return Target(run, [signed])


def verdict() -> Target:
    """A verdict that passes says what it must, read by another reader of JSON."""
    from unbroken.backend.attestation import Binding, Refused, verdict

    rules = verdict.PlayRules(packages={PACKAGE}, signers={SIGNER})
    binding = Binding("a" * 24, "b" * 24, b"", bytes(32))

    def run(data: bytes) -> None:
        try:
            read = verdict.read_verdict(data)
            verdict.judge(read, read.request_details.nonce, binding, rules, NOW_MS)
        except Refused:
            return
        said = json.loads(data.decode(errors="replace"))  # msgspec does not look into members that nobody reads
        assert said["appIntegrity"]["appRecognitionVerdict"] == "PLAY_RECOGNIZED"
        assert said["requestDetails"]["nonce"].rstrip("=") == _base64url(binding.digest)

    genuine = json.dumps(_verdict(binding.digest)).encode()
    run(genuine)
    return Target(run, [genuine])


def evidence() -> Target:
    from unbroken.backend.attestation import Refused, read_evidence

    def run(data: bytes) -> None:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        try:
            read_evidence(value)
        except Refused:
            return

    text = base64.b64encode(_attestation()).decode()
    sent = [
        {"kind": "play_classic", "token": "a.b.c.d.e"},
        {"kind": "app_attest", "key_id": base64.b64encode(bytes(32)).decode(), "attestation": text},
        {"kind": "android_key", "chain": ["AAE=", "AAE="]},
    ]
    return Target(run, [json.dumps(each).encode() for each in sent])


def revocation_list() -> Target:
    """No list is taken in which a serial number could never be matched."""
    from unbroken.backend.attestation.revocation import read_revocation_list

    def run(data: bytes) -> None:
        try:
            read = read_revocation_list(data, NOW_MS)
        except ValueError:
            return
        assert all(f"{int(serial, 16):x}" == serial for serial in read.serials)

    entries = {f"{n:x}": {"status": "REVOKED", "reason": "KEY_COMPROMISE"} for n in (1, 2**64 - 1, 10**30)}
    return Target(run, [json.dumps({"entries": entries}).encode()])


# Seeds: of the fake authorities, and of real devices


def _attested() -> tuple[bytes, bytes, bytes]:
    from unbroken.testing.attestation.apple import AppAttestKey, Apple, Claims

    apple = Apple(NOW_MS)
    key = AppAttestKey(apple)
    return key.attest(Claims(app_id=APP_ID, client_data_hash=HASH), NOW_MS), key.key_id, apple.root.public_key


def _attestation() -> bytes:
    return _vectors("attestations")[0].attestation


def _assertion_and_key() -> tuple[bytes, bytes]:
    from unbroken.testing.attestation.apple import AppAttestKey, Apple
    from unbroken.testing.attestation.issuing import public_der

    key = AppAttestKey(Apple(NOW_MS))
    return key.sign(APP_ID, HASH), public_der(key._key)


def _assertion() -> bytes:
    return _assertion_and_key()[0]


def _description() -> bytes:
    from unbroken.testing.attestation.android import Description

    return Description(challenge=HASH, packages=[PACKAGE], signers=[SIGNER]).encode()


def _android() -> tuple[frozenset[bytes], list[bytes]]:
    from unbroken.testing.attestation.android import KeyRoots, SecureHardware

    roots = KeyRoots(NOW_MS)
    return roots.public_keys, SecureHardware(roots, NOW_MS).make_key(_description())[1]


def _verifier(roots: frozenset[bytes]):
    from unbroken.backend.attestation.android_key import AndroidKeyAttest
    from unbroken.backend.attestation.revocation import RevocationList

    revocations = type("Listed", (), {"current": lambda _, now_ms: RevocationList(frozenset(), now_ms)})()
    return AndroidKeyAttest({PACKAGE}, {SIGNER}, revocations, roots=roots)


def _chain() -> list[bytes]:
    return _android()[1]


def _play():
    """Who made it, the inner layer, and the whole token."""
    from unbroken.backend.attestation import jose
    from unbroken.testing.attestation.play import Play

    play = Play()
    whole = play.classic_token(_verdict(HASH))
    return play, jose._decrypted(whole, play.keys.decryption_key).encode(), whole.encode()


def _verdict(digest: bytes):
    from unbroken.testing.attestation.play import verdict

    return verdict(PACKAGE, SIGNER, {"nonce": _base64url(digest)}, NOW_MS)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _vectors(kind: str) -> list:
    from tests.unit.backend.attestation import vectors

    return getattr(vectors, kind)()


def _extension_of(certificate: bytes) -> bytes:
    from cryptography import x509

    from unbroken.backend.attestation import certificates
    from unbroken.testing.attestation.android import KEY_DESCRIPTION

    read = certificates.read_certificate(certificate)
    return certificates.extension_of(read, x509.ObjectIdentifier(KEY_DESCRIPTION)) or b""


def _split(data: bytes) -> list[bytes]:
    """Certificates of up to 64 KiB, one after the other."""
    parts = []
    while data:
        size = 4 + int.from_bytes(data[2:4], "big")
        parts.append(data[:size])
        data = data[size:]
    return parts or [b""]

"""The readers of device attestation: what comes in is a stranger's, up to the last signature."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from tests.fuzz import attestation_seeds as seeds
from tests.fuzz.attestation_seeds import APP_ID, HASH, NOW_MS, PACKAGE, SIGNER
from tests.fuzz.table import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def targets() -> Mapping[str, Callable[[], Target]]:
    return {
        "cbor": cbor,
        "der": der,
        "certificate": certificate,
        "app-attest": app_attest,
        "attested-data": attested_data,
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

    return Target(
        run, [seeds.attestation(), seeds.assertion(), encoding.cbor({1: 2, 3: -7, -1: 1, -2: HASH, -3: HASH})]
    )


def der() -> Target:
    from unbroken.backend.attestation import Refused, key_description

    def run(data: bytes) -> None:
        try:
            key_description.read_key_description(data)
        except Refused:
            return

    real = [seeds.extension_of(vector.chain[0]) for vector in seeds.vectors("chains")]
    return Target(run, [seeds.description(), *real])


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

    real = [each for vector in seeds.vectors("chains") for each in vector.chain]
    return Target(run, [*seeds.chain(), *real])


def app_attest() -> Target:
    """Nothing but the genuine object is taken, whatever its receipt."""
    from unbroken.backend.attestation import Refused
    from unbroken.backend.attestation import cbor as reader
    from unbroken.backend.attestation.app_attest import AppAttest

    genuine, key_id, root = seeds.attested()
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


def attested_data() -> Target:
    """Apple signs a hash, so whoever has a phone's system in his hand has it signed over whatever data he likes."""
    from unbroken.backend.attestation import Refused
    from unbroken.backend.attestation import cbor as reader
    from unbroken.backend.attestation.app_attest import AppAttest
    from unbroken.testing.attestation.apple import AppAttestKey, Apple, Claims

    apple = Apple(NOW_MS)
    key = AppAttestKey(apple)
    verifier = AppAttest([APP_ID], root=apple.root.public_key)

    def attest(data: bytes) -> bytes:
        nonce = hashlib.sha256(data + HASH).digest()
        claims = Claims(app_id=APP_ID, client_data_hash=HASH, nonce=nonce, members={"authData": data})
        return key.attest(claims, NOW_MS)

    def said(data: bytes) -> tuple[bytes, bytes, object]:
        """All but the flags that say nothing of the form."""
        return data[:32], data[33:87], reader.read(data[87:])

    def run(data: bytes) -> None:
        try:
            verifier.attested(attest(data), key.key_id, HASH, NOW_MS)
        except Refused:
            return
        assert said(data) == said(genuine)

    genuine = key._attested_data(Claims(app_id=APP_ID, client_data_hash=HASH))
    verifier.attested(attest(genuine), key.key_id, HASH, NOW_MS)
    return Target(run, [genuine])


def assertion() -> Target:
    """Nothing but the genuine object is taken."""
    from unbroken.backend.attestation import Refused
    from unbroken.backend.attestation.app_attest import AppAssert
    from unbroken.backend.attestation.counters import MemoryCounters

    genuine, public_key = seeds.assertion_and_key()
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

    roots, chain = seeds.android()
    verifier = seeds.verifier(roots)
    genuine = b"".join(chain)

    def run(data: bytes) -> None:
        try:
            verifier.attested(seeds.split(data), HASH, NOW_MS)
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
    key, chain = SecureHardware(roots, NOW_MS).make_key(seeds.description())
    genuine = Authority(key, x509.load_der_x509_certificate(chain[0]))
    life = Life(NOW_MS - YEAR_MS, NOW_MS + YEAR_MS)
    upper = genuine.issue(name(COMMON_NAME="y"), key.public_key(), life)
    described = {KEY_DESCRIPTION: seeds.description()}
    lower = Authority(key, upper).issue(name(COMMON_NAME="x"), key.public_key(), life, described)
    algorithm = element(der.SEQUENCE, der.members_of(der.read_element(encoded(upper)))[1].content)
    verifier = seeds.verifier(roots.public_keys)

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

    play, _, genuine = seeds.play()

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

    play, signed, _ = seeds.play()

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
        assert said["requestDetails"]["nonce"].rstrip("=") == seeds.base64url(binding.digest)

    genuine = json.dumps(seeds.verdict(binding.digest)).encode()
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

    text = base64.b64encode(seeds.attestation()).decode()
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

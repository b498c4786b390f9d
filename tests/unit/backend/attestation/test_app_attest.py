"""App Attest against a fake Apple: what lacks nothing is accepted, and each single fault has its reason."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from unbroken.backend.attestation import Binding, Level, Reason, Refused
from unbroken.backend.attestation.app_attest import DEVELOPMENT, PRODUCTION, AppAssert, AppAttest
from unbroken.backend.attestation.counters import AttestedKey, MemoryCounters
from unbroken.backend.attestation.evidence import AppAssertion, AppAttestation
from unbroken.testing.attestation.apple import AppAttestKey, Apple, Claims
from unbroken.testing.attestation.encoding import cbor
from unbroken.testing.attestation.issuing import DAY_MS, YEAR_MS, Authority, Life, name

NOW_MS = 1_790_000_000_000
APP_ID = "A1B2C3D4E5.com.example.app"
HASH = hashlib.sha256(b"client data").digest()
BINDING = Binding("a" * 24, "b" * 24, b"", bytes(32))
APPLE = Apple(NOW_MS)
LIFE = Life(NOW_MS - YEAR_MS, NOW_MS + YEAR_MS)
NO_AUTHORITY = Authority(
    key := APPLE.issuer.key, APPLE.root.issue(name(COMMON_NAME="no authority"), key.public_key(), LIFE)
)
OVER = Authority(
    key,
    APPLE.root.issue(
        name(COMMON_NAME="over"), key.public_key(), Life(NOW_MS - YEAR_MS, NOW_MS - DAY_MS), is_authority=True
    ),
)
OTHER_APPLE = Apple(NOW_MS)
SAME_NAMES_OTHER_ROOT = Authority(
    key, OTHER_APPLE.root.issue(APPLE.issuer.certificate.subject, key.public_key(), LIFE, is_authority=True)
)
WRONG_NAME = Authority(OTHER_APPLE.issuer.key, APPLE.issuer.certificate)


def verifier(**settings):
    return AppAttest([APP_ID], **{"root": APPLE.root.public_key, **settings})


def attest(verified_by=None, *, curve=None, issuer=None, key_id=None, at_ms=NOW_MS, hash_=HASH, **claims):
    device = AppAttestKey(APPLE, curve)
    said = Claims(**{"app_id": APP_ID, "client_data_hash": HASH, **claims})
    attestation = device.attest(said, NOW_MS, issuer=issuer)
    return (verified_by or verifier()).attested(attestation, key_id or device.key_id, hash_, at_ms)


def test_an_attestation_that_lacks_nothing_is_accepted():
    attested = attest()
    assert (attested.app_id, attested.is_production) == (APP_ID, True)
    assert hashlib.sha256(attested.public_key[-65:]).digest() == attested.key_id


@pytest.mark.parametrize("app_ids", [APP_ID, ["com"], [APP_ID, ""]], ids=["one text", "no team", "an empty one"])
def test_an_app_id_that_no_app_has_is_refused_at_once(app_ids):
    with pytest.raises(ValueError, match="app ids are"):
        AppAttest(app_ids)
    with pytest.raises(ValueError, match="app ids are"):
        AppAssert(app_ids, MemoryCounters())


def test_flags_that_say_nothing_of_the_form_do_not_matter():
    assert attest(flags=0x45).app_id == APP_ID


def test_a_development_build_is_accepted_where_it_may():
    assert not attest(verifier(is_development_allowed=True), environment=DEVELOPMENT).is_production


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        (Reason.BINDING_MISMATCH, {"client_data_hash": bytes(32)}),
        (Reason.BINDING_MISMATCH, {"hash_": bytes(32)}),
        (Reason.BINDING_MISMATCH, {"nonce": bytes(32)}),
        (Reason.BINDING_MISMATCH, {"nonce": HASH}),
        (Reason.WRONG_APP, {"app_id": "A1B2C3D4E5.com.example.other"}),
        (Reason.WRONG_APP, {"app_id": ""}),
        (Reason.KEY_MISMATCH, {"key_id": bytes(32)}),
        (Reason.KEY_MISMATCH, {"curve": ec.SECP384R1()}),
        (Reason.KEY_MISMATCH, {"cose": {-2: bytes(32)}}),
        (Reason.KEY_MISMATCH, {"cose": {3: -35}}),
        (Reason.KEY_MISMATCH, {"cose": {4: 1}}),
        (Reason.COUNTER_NOT_GREATER, {"counter": 1}),
        (Reason.WRONG_ENVIRONMENT, {"environment": DEVELOPMENT}),
        (Reason.WRONG_ENVIRONMENT, {"environment": bytes(16)}),
        (Reason.MALFORMED, {"flags": 0xC0}),
        (Reason.MALFORMED, {"flags": 0x00}),
        (Reason.MALFORMED, {"members": {"fmt": "packed"}}),
        (Reason.MALFORMED, {"members": {"extra": 1}}),
        (Reason.MALFORMED, {"members": {"attStmt": []}}),
        (Reason.MALFORMED, {"members": {"authData": "text"}}),
        (Reason.MALFORMED, {"statement": {"extra": 1}}),
        (Reason.MALFORMED, {"statement": {"receipt": "text"}}),
        (Reason.MALFORMED, {"statement": {"x5c": []}}),
        (Reason.MALFORMED, {"statement": {"x5c": b""}}),
        (Reason.MALFORMED, {"statement": {"x5c": [b"\x30\x00", b"\x30\x00"]}}),
        (Reason.MALFORMED, {"statement": {"x5c": [1, 2]}}),
        (Reason.BINDING_MISMATCH, {"members": {"authData": b""}}),
        (Reason.BROKEN_CHAIN, {"issuer": NO_AUTHORITY}),
        (Reason.BAD_SIGNATURE, {"issuer": Authority(key, APPLE.root.certificate)}),
        (Reason.BAD_SIGNATURE, {"issuer": OTHER_APPLE.issuer}),
        (Reason.BAD_SIGNATURE, {"issuer": SAME_NAMES_OTHER_ROOT}),
        (Reason.BAD_SIGNATURE, {"issuer": WRONG_NAME}),
        (Reason.CERTIFICATE_NOT_VALID_NOW, {"issuer": OVER}),
        (Reason.CERTIFICATE_NOT_VALID_NOW, {"at_ms": NOW_MS - 2 * DAY_MS}),
        (Reason.CERTIFICATE_NOT_VALID_NOW, {"at_ms": NOW_MS + 3 * DAY_MS}),
    ],
    ids=lambda value: None if isinstance(value, Reason) else str(value)[:40],
)
def test_an_attestation_with_one_fault_is_refused_for_it(reason, fault):
    with pytest.raises(Refused) as caught:
        attest(**fault)
    assert caught.value.code == reason


def test_a_key_id_that_the_object_does_not_hold_is_refused():
    device = AppAttestKey(APPLE)
    attestation = device.attest(Claims(app_id=APP_ID, client_data_hash=HASH, key_id=bytes(32)), NOW_MS)
    with pytest.raises(Refused) as caught:
        verifier().attested(attestation, device.key_id, HASH, NOW_MS)
    assert caught.value.code == Reason.KEY_MISMATCH


def test_a_key_id_that_is_not_of_the_key_is_refused_even_where_the_object_says_so():
    with pytest.raises(Refused) as caught:
        attest(key_id=bytes(32))
    assert caught.value.code == Reason.KEY_MISMATCH
    device = AppAttestKey(APPLE)
    attestation = device.attest(Claims(app_id=APP_ID, client_data_hash=HASH, key_id=bytes(range(32))), NOW_MS)
    with pytest.raises(Refused) as caught:
        verifier().attested(attestation, bytes(range(32)), HASH, NOW_MS)
    assert caught.value.code == Reason.KEY_MISMATCH


@pytest.mark.parametrize("size", [32, 33, 53, 87])
def test_signed_data_that_ends_early_is_malformed(size):
    data = (hashlib.sha256(APP_ID.encode()).digest() + b"\x40" + bytes(54))[:size]
    with pytest.raises(Refused) as caught:
        attest(nonce=hashlib.sha256(data + HASH).digest(), members={"authData": data})
    assert caught.value.code == Reason.MALFORMED


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_cut_attestation_is_malformed(cut):
    attestation = AppAttestKey(APPLE).attest(Claims(app_id=APP_ID, client_data_hash=HASH), NOW_MS)
    with pytest.raises(Refused) as caught:
        verifier().attested(attestation[:cut], bytes(32), HASH, NOW_MS)
    assert caught.value.code == Reason.MALFORMED


# Assertions


class Enrolled:
    """A device whose key was attested for the binding's install."""

    def __init__(self, environment=PRODUCTION):
        self.counters = MemoryCounters()
        self.device = AppAttestKey(APPLE)
        claims = Claims(app_id=APP_ID, client_data_hash=BINDING.digest, environment=environment)
        evidence = AppAttestation(self.device.key_id, self.device.attest(claims, NOW_MS))
        attesting = verifier(counters=self.counters, is_development_allowed=environment != PRODUCTION)
        self.proof = attesting.verify(evidence, BINDING, NOW_MS)
        self.verifier = AppAssert([APP_ID], self.counters)

    def judge(self, *, binding=BINDING, app_id=APP_ID, hash_=None, counter=None, device=None, key_id=None):
        assertion = (device or self.device).sign(app_id, hash_ or binding.digest, counter=counter)
        return self.sent(assertion, binding, key_id)

    def sent(self, assertion, binding=BINDING, key_id=None):
        return self.verifier.verify(AppAssertion(key_id or self.device.key_id, assertion), binding, NOW_MS)


@pytest.fixture
def enrolled():
    return Enrolled()


def test_the_attested_key_and_its_later_assertions_prove_the_same(enrolled):
    proof = enrolled.judge()
    assert (proof.level, proof.key) == (Level.APP_ATTEST, enrolled.proof.key)
    assert proof.facts["counter"] == "1"
    assert proof.digest != enrolled.proof.digest


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        (Reason.WRONG_APP, {"app_id": "A1B2C3D4E5.com.example.other"}),
        (Reason.BAD_SIGNATURE, {"hash_": bytes(32)}),
        (Reason.BAD_SIGNATURE, {"device": AppAttestKey(APPLE)}),
        (Reason.KEY_UNKNOWN, {"key_id": bytes(32)}),
        (Reason.KEY_UNKNOWN, {"binding": Binding("a" * 24, "c" * 24, b"", bytes(32))}),
        (Reason.COUNTER_NOT_GREATER, {"counter": 0}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_assertion_with_one_fault_is_refused_for_it(enrolled, reason, fault):
    with pytest.raises(Refused) as caught:
        enrolled.judge(**fault)
    assert caught.value.code == reason


@pytest.mark.parametrize(
    "members",
    [
        {"signature": b""},
        {"signature": b"", "authenticatorData": b"", "extra": 1},
        {"signature": "", "authenticatorData": bytes(37)},
        {"signature": b"", "authenticatorData": bytes(36)},
        {"signature": b"", "authenticatorData": bytes(38)},
        [],
        1,
    ],
    ids=str,
)
def test_an_assertion_of_another_form_is_malformed(enrolled, members):
    with pytest.raises(Refused) as caught:
        enrolled.sent(cbor(members))
    assert caught.value.code == Reason.MALFORMED


def test_an_assertion_is_of_the_app_that_its_key_was_attested_for(enrolled):
    other = "A1B2C3D4E5.com.example.other"
    enrolled.verifier = AppAssert([APP_ID, other], enrolled.counters)
    with pytest.raises(Refused) as caught:
        enrolled.judge(app_id=other)
    assert caught.value.code == Reason.WRONG_APP
    assert enrolled.judge().level == Level.APP_ATTEST


def test_a_key_of_a_development_build_counts_only_where_it_may():
    enrolled = Enrolled(DEVELOPMENT)
    with pytest.raises(Refused) as caught:
        enrolled.judge()
    assert caught.value.code == Reason.WRONG_ENVIRONMENT
    enrolled.verifier = AppAssert([APP_ID], enrolled.counters, is_development_allowed=True)
    assert enrolled.judge().level == Level.APP_ATTEST


def test_a_counter_must_grow_and_may_skip(enrolled):
    assert enrolled.judge(counter=7).facts["counter"] == "7"
    for counter in (7, 6, 1):
        with pytest.raises(Refused) as caught:
            enrolled.judge(counter=counter)
        assert caught.value.code == Reason.COUNTER_NOT_GREATER
    assert enrolled.judge(counter=8).facts["counter"] == "8"


def test_of_sixteen_that_send_one_assertion_at_once_one_is_accepted(enrolled):
    assertion = enrolled.device.sign(APP_ID, BINDING.digest)

    def send(_):
        try:
            return enrolled.sent(assertion).level
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(send, range(16)))
    assert sorted(outcomes) == [Level.APP_ATTEST] + 15 * [Reason.COUNTER_NOT_GREATER]


def test_a_key_stays_with_the_install_it_was_attested_for_first():
    counters = MemoryCounters()
    key, other = (AttestedKey(der, APP_ID, is_production=True) for der in (b"key", b"another key"))
    counters.keep(b"id", "first", key)
    counters.advance(b"id", 5)
    counters.keep(b"id", "second", other)
    assert (counters.find(b"id", "first"), counters.find(b"id", "second")) == (key, None)
    assert not counters.advance(b"id", 5)

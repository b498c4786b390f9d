"""Off, observe and enforce, for thirty things that a device may send."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

from unbroken.backend.attestation import Binding, Kind, Level, Mode, Policy, Reason, Refused, read_evidence
from unbroken.backend.attestation.evidence import AppAttestation
from unbroken.clock import ManualClock
from unbroken.testing.attestation import AttestationLab
from unbroken.testing.attestation.issuing import name
from unbroken.testing.attestation.lab import PACKAGE
from unbroken.testing.attestation.server import STATUS_PATH

NOW_MS = 1_790_000_000_000
BINDING = Binding("a" * 24, "b" * 24, b"", bytes(32))
DECODE_PATH = f"/v1/{PACKAGE}:decodeIntegrityToken"
OTHER = Binding("a" * 24, "c" * 24, b"", bytes(32))


@pytest.fixture(scope="module")
def shared_lab():
    with AttestationLab() as made:
        yield made


@pytest.fixture
def lab(shared_lab):
    shared_lab.clock = ManualClock(NOW_MS)
    shared_lab.google.statuses.clear()
    shared_lab.roots.revoked.clear()
    return shared_lab


def sent(value):
    return lambda _: value


def enrolled(lab):
    phone = lab.iphone()
    lab.verifiers()[Kind.APP_ATTEST].verify(read_evidence(phone.app_attest(BINDING)), BINDING, NOW_MS)
    return phone


def twice(lab):
    phone = enrolled(lab)
    first = phone.app_attest_assertion(BINDING)
    lab.verifiers()[Kind.APP_ATTEST_ASSERTION].verify(read_evidence(first), BINDING, NOW_MS)
    return first


def revoked(lab):
    evidence = lab.android().android_key(BINDING)
    lab.roots.revoke(x509.load_der_x509_certificate(base64.b64decode(evidence["chain"][1])))
    return evidence


def in_outage(path, make):
    def send(lab):
        lab.google.statuses[path] = 503
        return make(lab)

    return send


def old(lab, make):
    lab.clock = ManualClock(NOW_MS - 400_000)
    return make(lab)


FLAWLESS = [
    (Level.APP_ATTEST, lambda lab: lab.iphone().app_attest(BINDING)),
    (Level.APP_ATTEST, lambda lab: enrolled(lab).app_attest_assertion(BINDING)),
    (Level.TEE, lambda lab: lab.android().android_key(BINDING)),
    (Level.STRONGBOX, lambda lab: lab.android().android_key(BINDING, is_strongbox=True)),
    (Level.PLAY_STRONG, lambda lab: lab.android().play_classic(BINDING)),
    (Level.PLAY_STRONG, lambda lab: lab.android().play_standard(BINDING)),
]
FAULTY = [
    (Reason.MISSING, sent(None)),
    (Reason.MALFORMED, sent({})),
    (Reason.MALFORMED, sent({"kind": "safetynet", "token": "x"})),
    (Reason.MALFORMED, sent({"kind": "play_classic"})),
    (Reason.MALFORMED, lambda lab: lab.iphone().app_attest(BINDING) | {"attestation": "oA=="}),
    (Reason.MALFORMED, sent({"kind": "play_classic", "token": "a.b.c.d.e"})),
    (Reason.TOO_LARGE, sent({"kind": "play_standard", "token": 20_001 * "a"})),
    (Reason.BINDING_MISMATCH, lambda lab: lab.iphone().app_attest(OTHER)),
    (Reason.BINDING_MISMATCH, lambda lab: lab.android().android_key(OTHER)),
    (Reason.BINDING_MISMATCH, lambda lab: lab.android().play_classic(OTHER)),
    (Reason.BINDING_MISMATCH, lambda lab: lab.android().play_standard(OTHER)),
    (Reason.WRONG_APP, lambda lab: lab.iphone(app_id="A1B2C3D4E5.com.example.other").app_attest(BINDING)),
    (Reason.KEY_UNKNOWN, lambda lab: lab.iphone().app_attest_assertion(BINDING)),
    (Reason.BAD_SIGNATURE, lambda lab: enrolled(lab).app_attest_assertion(OTHER)),
    (Reason.COUNTER_NOT_GREATER, twice),
    (Reason.BOOT_NOT_VERIFIED, lambda lab: lab.android(is_rooted=True).android_key(BINDING)),
    (Reason.WRONG_SIGNER, lambda lab: lab.android(is_repackaged=True).android_key(BINDING)),
    (Reason.REVOKED, revoked),
    (Reason.REVOCATION_LIST_STALE, in_outage(STATUS_PATH, lambda lab: lab.android().android_key(BINDING))),
    (Reason.DEVICE_NOT_RECOGNIZED, lambda lab: lab.android(is_rooted=True).play_standard(BINDING)),
    (Reason.APP_NOT_RECOGNIZED, lambda lab: lab.android(is_repackaged=True).play_classic(BINDING)),
    (Reason.TOO_OLD, lambda lab: old(lab, lambda lab: lab.android().play_classic(BINDING))),
    (Reason.DECODER_REFUSED, sent({"kind": "play_standard", "token": "never.given.out"})),
    (Reason.DECODER_UNREACHABLE, in_outage(DECODE_PATH, lambda lab: lab.android().play_standard(BINDING))),
]


def judged(policy, value, *, is_async=False):
    """What a kit does with the member `attestation` of a request."""
    try:
        evidence = None if value is None else read_evidence(value)
    except Refused as refused:
        evidence = refused
    if is_async:
        return asyncio.run(policy.judge_async(evidence, BINDING, NOW_MS))
    return policy.judge(evidence, BINDING, NOW_MS)


def test_the_table_has_thirty_verdicts():
    assert len(FLAWLESS) + len(FAULTY) == 30


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("level", "send"), FLAWLESS)
def test_a_flawless_proof_goes_on_in_every_mode(lab, level, send, mode):
    result = judged(lab.policy(mode), send(lab))
    assert result.is_allowed
    assert result.reason is None
    assert result.level == (Level.NONE if mode is Mode.OFF else level)
    assert (result.proof is None) == (mode is Mode.OFF)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("reason", "send"), FAULTY)
def test_without_a_proof_only_enforce_refuses(lab, reason, send, mode, caplog):
    policy = lab.policy(mode)
    with caplog.at_level(logging.WARNING, "unbroken.backend.attestation"):
        result = judged(policy, send(lab))
    assert result.is_allowed == (mode is not Mode.ENFORCE)
    assert (result.level, result.proof) == (Level.NONE, None)
    assert result.reason == (None if mode is Mode.OFF else reason)
    assert list(policy.refused().values()) == ([] if mode is Mode.OFF else [1])
    told = [message for message in caplog.messages if message.startswith("no proof of an install: ")]
    assert len(told) == (0 if mode is Mode.OFF else 1)


@pytest.mark.parametrize("mode", Mode)
def test_asyncio_gets_the_same(lab, mode):
    assert judged(lab.policy(mode), None, is_async=True) == judged(lab.policy(mode), None)
    token = lab.android().play_classic(BINDING)
    assert judged(lab.policy(mode), token, is_async=True) == judged(lab.policy(mode), token)


def test_a_mode_that_a_setting_names_is_that_mode(lab):
    enforcing = Policy("enforce", {"android_key": lab.verifiers()[Kind.ANDROID_KEY]})
    assert enforcing.mode is Mode.ENFORCE
    assert not judged(enforcing, None).is_allowed
    assert not judged(enforcing, lab.android(is_rooted=True).android_key(BINDING)).is_allowed
    assert judged(enforcing, lab.android().android_key(BINDING)).level is Level.TEE
    assert judged(Policy("off"), None).reason is None
    observed = Policy("enforce", lab.verifiers(), modes={"play_classic": "observe"})
    assert judged(observed, lab.android(is_rooted=True).play_classic(BINDING)).is_allowed


@pytest.mark.parametrize(
    "settings",
    [
        ("Enforce",),
        ("",),
        (None,),
        (True,),
        ("enforce", {"safetynet": None}),
        ("enforce", {}, {"safetynet": "off"}),
        ("enforce", {}, {"android_key": "on"}),
        (Mode.OBSERVE, {}, {Kind.ANDROID_KEY: Mode.ENFORCE}),
        (Mode.OFF, {}, {Kind.ANDROID_KEY: Mode.OBSERVE}),
    ],
    ids=str,
)
def test_a_policy_that_would_not_do_what_it_says_is_refused_at_once(settings):
    mode, verifiers, modes = (*settings, None, None)[:3]
    with pytest.raises(ValueError, match=r"is not a valid|cannot have"):
        Policy(mode, verifiers, modes=modes)


def test_a_policy_does_not_change_its_mode():
    with pytest.raises(AttributeError):
        Policy(Mode.ENFORCE).mode = Mode.OFF


class Broken:
    def verify(self, evidence, binding, now_ms):
        raise ZeroDivisionError


class Forgetful:
    def verify(self, evidence, binding, now_ms):
        return None


@pytest.mark.parametrize("verifier", [Broken(), Forgetful()])
@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.ENFORCE])
def test_a_verifier_that_fails_closes_under_enforce_and_harms_nobody_under_observe(mode, verifier, caplog):
    policy = Policy(mode, {Kind.APP_ATTEST: verifier})
    result = policy.judge(AppAttestation(bytes(32), b"x"), BINDING, NOW_MS)
    assert (result.is_allowed, result.reason) == (mode is Mode.OBSERVE, Reason.VERIFIER_FAILED)
    assert caplog.records[0].exc_info


class Waiting:
    """Waits as a verifier does whose service is silent."""

    def __init__(self):
        self.may_end = threading.Event()

    def verify(self, evidence, binding, now_ms):
        assert self.may_end.wait(30)
        raise Refused(Reason.DECODER_UNREACHABLE)


def test_verifiers_that_wait_take_no_thread_of_the_host_and_only_so_many_wait():
    verifier = Waiting()
    policy = Policy(Mode.ENFORCE, {Kind.APP_ATTEST: verifier})

    async def run():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))
        sent = (AppAttestation(bytes(32), b"x"), BINDING, NOW_MS)
        waiting = [asyncio.ensure_future(policy.judge_async(*sent)) for _ in range(256)]
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(asyncio.to_thread(int), 30)
            beyond = await asyncio.wait_for(policy.judge_async(*sent), 30)
            assert (await asyncio.wait_for(policy.judge_async(None, *sent[1:]), 30)).reason is Reason.MISSING
        finally:
            verifier.may_end.set()
        return beyond, await asyncio.gather(*waiting)

    beyond, waited = asyncio.run(run())
    assert (beyond.is_allowed, beyond.reason) == (False, Reason.VERIFIER_FAILED)
    assert {judgement.reason for judgement in waited} == {Reason.DECODER_UNREACHABLE}


def test_a_strangers_words_cannot_begin_a_line_of_the_log(caplog):
    said = name(COMMON_NAME="x\r\nERROR all is lost\x1b]0;\u202e").rfc4514_string()
    refused = Refused(Reason.BAD_SIGNATURE, said + 500 * "x")
    Policy(Mode.ENFORCE).judge(refused, BINDING, NOW_MS)
    assert "x??ERROR all is lost?" in caplog.messages[0]
    assert caplog.messages[0].isprintable()
    assert len(caplog.messages[0]) < 400


def test_a_kind_without_a_verifier_is_refused():
    result = Policy(Mode.ENFORCE).judge(AppAttestation(bytes(32), b"x"), BINDING, NOW_MS)
    assert (result.is_allowed, result.reason) == (False, Reason.NOT_VERIFIABLE)


def test_an_outage_lets_go_on_only_where_that_was_said(lab):
    lab.google.statuses[DECODE_PATH] = 503
    lenient = lab.policy(is_lenient_in_outage=True)
    result = judged(lenient, lab.android().play_standard(BINDING))
    assert (result.is_allowed, result.level, result.reason) == (True, Level.NONE, Reason.DECODER_UNREACHABLE)
    for value in (None, lab.android(is_rooted=True).play_classic(BINDING)):
        assert not judged(lenient, value).is_allowed
    lab.google.statuses[DECODE_PATH] = 429
    result = judged(lab.policy(is_lenient_in_outage=True), lab.android().play_standard(BINDING))
    assert (result.is_allowed, result.reason) == (False, Reason.DECODER_QUOTA_EXCEEDED)
    lab.google.statuses.clear()
    result = judged(lab.policy(is_lenient_in_outage=True), {"kind": "play_standard", "token": "a.b"})
    assert (result.is_allowed, result.reason) == (False, Reason.DECODER_REFUSED)


def test_a_kind_may_have_a_mode_of_its_own(lab):
    policy = Policy(Mode.ENFORCE, lab.verifiers(), modes={Kind.ANDROID_KEY: Mode.OBSERVE, Kind.PLAY_CLASSIC: Mode.OFF})
    assert judged(policy, lab.android(is_rooted=True).android_key(BINDING)).is_allowed
    assert judged(policy, lab.android(is_rooted=True).play_classic(BINDING)).reason is None
    assert not judged(policy, lab.android(is_rooted=True).play_standard(BINDING)).is_allowed
    assert not judged(policy, None).is_allowed


def test_refusals_are_counted_by_kind_and_reason_over_all_threads(lab):
    policy = lab.policy(Mode.OBSERVE)
    token = lab.android().play_classic(OTHER)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: judged(policy, token), range(64)))
    judged(policy, None)
    assert policy.refused() == {
        (Kind.PLAY_CLASSIC, Reason.BINDING_MISMATCH): 64,
        (None, Reason.MISSING): 1,
    }

"""Play Integrity against a fake Google: what lacks nothing is accepted, and each single fault has its reason."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from unbroken.backend.attestation import Binding, Level, Reason, Refused, jose
from unbroken.backend.attestation.anchors import GOOGLE_RSA_ROOT
from unbroken.backend.attestation.evidence import PlayClassic, PlayStandard
from unbroken.backend.attestation.jose import ResponseKeys, from_base64url, to_base64url
from unbroken.backend.attestation.play import TOKEN_MAX_CHARACTERS, Classic, PlayRules, Standard
from unbroken.testing.attestation.issuing import new_key, public_der
from unbroken.testing.attestation.play import Play, verdict

NOW_MS = 1_790_000_000_000
PACKAGE = "com.example.app"
SIGNER = hashlib.sha256(b"signer").digest()
BINDING = Binding("a" * 24, "b" * 24, b"", bytes(32))
PLAY = Play()
OTHER_PLAY = Play()
BOUND_TO = to_base64url(BINDING.digest)


def rules(**changed):
    return PlayRules(**{"packages": {PACKAGE}, "signers": {SIGNER}, **changed})


def said(kind="nonce", **changed):
    """A verdict that lacks nothing but for `part__member=value`; a value of `...` removes the member."""
    value = verdict(PACKAGE, SIGNER, {kind: BOUND_TO}, NOW_MS)
    for name, new in changed.items():
        part, _, member = name.partition("__")
        if not member:
            value[part] = new
        elif new is ...:
            del value[part][member]
        else:
            value.setdefault(part, {})[member] = new
    return value


def classic(payload=None, *, policy=None, now_ms=NOW_MS, binding=BINDING, **token):
    made = PLAY.classic_token(said() if payload is None else payload, **token)
    return Classic(policy or rules(), PLAY.keys).verify(PlayClassic(made), binding, now_ms)


class Answering:
    """A decoder that answers with this verdict."""

    def __init__(self, payload):
        self.payload = payload
        self.asked = []

    def decode(self, token, now_ms):
        self.asked.append(token)
        if isinstance(self.payload, Reason):
            raise Refused(self.payload)
        return json.dumps(self.payload).encode()


def standard(payload, *, policy=None, now_ms=NOW_MS):
    return Standard(policy or rules(), Answering(payload)).verify(PlayStandard("token"), BINDING, now_ms)


def code_of(judge, *args, **changed):
    with pytest.raises(Refused) as caught:
        judge(*args, **changed)
    return caught.value.code


@pytest.mark.parametrize("level", [Level.PLAY_BASIC, Level.PLAY_DEVICE, Level.PLAY_STRONG])
def test_a_verdict_that_lacks_nothing_is_accepted(level):
    for proof in (classic(policy=rules(level_min=level)), standard(said("requestHash"), policy=rules(level_min=level))):
        assert proof.level == Level.PLAY_STRONG
        assert proof.facts["version"] == "42"


FAULTS = [
    (Reason.WRONG_APP, {"requestDetails__requestPackageName": "com.example.other"}, {}),
    (Reason.WRONG_APP, {"requestDetails__requestPackageName": ...}, {}),
    (Reason.WRONG_APP, {"appIntegrity__packageName": "com.example.other"}, {}),
    (Reason.WRONG_APP, {"appIntegrity__packageName": ...}, {}),
    (Reason.TOO_OLD, {"requestDetails__timestampMillis": str(NOW_MS - 300_001)}, {}),
    (Reason.TOO_OLD, {"requestDetails__timestampMillis": ...}, {}),
    (Reason.TOO_OLD, {"requestDetails__timestampMillis": "yesterday"}, {}),
    (Reason.TOO_OLD, {"requestDetails__timestampMillis": 0}, {}),
    (Reason.FROM_THE_FUTURE, {"requestDetails__timestampMillis": str(NOW_MS + 30_001)}, {}),
    (Reason.APP_NOT_RECOGNIZED, {"appIntegrity__appRecognitionVerdict": "UNRECOGNIZED_VERSION"}, {}),
    (Reason.APP_NOT_RECOGNIZED, {"appIntegrity__appRecognitionVerdict": "UNEVALUATED"}, {}),
    (
        Reason.APP_NOT_RECOGNIZED,
        {"appIntegrity__appRecognitionVerdict": "UNEVALUATED"},
        {"is_side_loading_allowed": True},
    ),
    (Reason.APP_NOT_RECOGNIZED, {"appIntegrity__appRecognitionVerdict": ...}, {}),
    (Reason.APP_NOT_RECOGNIZED, {"appIntegrity": {}}, {}),
    (Reason.WRONG_SIGNER, {"appIntegrity__certificateSha256Digest": [to_base64url(bytes(32))]}, {}),
    (Reason.WRONG_SIGNER, {"appIntegrity__certificateSha256Digest": [to_base64url(SIGNER), "AAAA"]}, {}),
    (Reason.WRONG_SIGNER, {"appIntegrity__certificateSha256Digest": []}, {}),
    (Reason.WRONG_SIGNER, {"appIntegrity__certificateSha256Digest": ...}, {}),
    (
        Reason.WRONG_SIGNER,
        {
            "appIntegrity__appRecognitionVerdict": "UNRECOGNIZED_VERSION",
            "appIntegrity__certificateSha256Digest": ["AAAA"],
        },
        {"is_side_loading_allowed": True},
    ),
    (Reason.DEVICE_NOT_RECOGNIZED, {"deviceIntegrity__deviceRecognitionVerdict": []}, {}),
    (Reason.DEVICE_NOT_RECOGNIZED, {"deviceIntegrity": {}}, {}),
    (Reason.DEVICE_NOT_RECOGNIZED, {"deviceIntegrity__deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY"]}, {}),
    (Reason.DEVICE_NOT_RECOGNIZED, {"deviceIntegrity__deviceRecognitionVerdict": ["MEETS_VIRTUAL_INTEGRITY"]}, {}),
    (Reason.DEVICE_NOT_RECOGNIZED, {"deviceIntegrity__deviceRecognitionVerdict": ["meets_device_integrity"]}, {}),
    (
        Reason.DEVICE_NOT_RECOGNIZED,
        {"deviceIntegrity__deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY"]},
        {"level_min": Level.PLAY_STRONG},
    ),
    (Reason.NOT_LICENSED, {"accountDetails__appLicensingVerdict": "UNLICENSED"}, {"is_licence_required": True}),
    (Reason.NOT_LICENSED, {"accountDetails__appLicensingVerdict": "UNEVALUATED"}, {"is_licence_required": True}),
    (Reason.NOT_LICENSED, {"accountDetails": {}}, {"is_licence_required": True}),
    (Reason.VERSION_TOO_OLD, {"appIntegrity__versionCode": "41"}, {"version_min": 42}),
    (Reason.VERSION_TOO_OLD, {"appIntegrity__versionCode": ...}, {"version_min": 42}),
    (Reason.TEST_RESPONSE, {"testingDetails__isTestingResponse": True}, {}),
    (Reason.MALFORMED, {"requestDetails": []}, {}),
    (Reason.MALFORMED, {"deviceIntegrity__deviceRecognitionVerdict": "MEETS_DEVICE_INTEGRITY"}, {}),
    (Reason.MALFORMED, {"appIntegrity__certificateSha256Digest": ["!"]}, {}),
    (Reason.MALFORMED, {"appIntegrity__versionCode": 1.5}, {}),
]


@pytest.mark.parametrize(("reason", "fault", "policy"), FAULTS, ids=lambda value: str(value)[:60])
def test_a_verdict_with_one_fault_is_refused_for_it(reason, fault, policy):
    assert code_of(classic, said(**fault), policy=rules(**policy)) == reason
    assert code_of(standard, said("requestHash", **fault), policy=rules(**policy)) == reason


@pytest.mark.parametrize(
    ("fault", "policy"),
    [
        ({"requestDetails__timestampMillis": str(NOW_MS - 300_000)}, {}),
        ({"requestDetails__timestampMillis": NOW_MS + 30_000}, {}),
        ({"appIntegrity__appRecognitionVerdict": "UNRECOGNIZED_VERSION"}, {"is_side_loading_allowed": True}),
        ({"accountDetails": {}}, {}),
        ({"appIntegrity__versionCode": 42}, {"version_min": 42}),
        ({"testingDetails__isTestingResponse": True}, {"are_test_responses_allowed": True}),
        ({"testingDetails__isTestingResponse": False}, {}),
        ({"environmentDetails": {"playProtectVerdict": "NO_ISSUES"}}, {}),
        ({"appIntegrity__certificateSha256Digest": [base64.urlsafe_b64encode(SIGNER).decode()]}, {}),
    ],
    ids=str,
)
def test_a_verdict_at_the_edge_is_accepted(fault, policy):
    assert classic(said(**fault), policy=rules(**policy)).level == Level.PLAY_STRONG


@pytest.mark.parametrize("bound_to", ["", BOUND_TO[:-1], BOUND_TO + "A", BOUND_TO + "==", to_base64url(bytes(32)), "é"])
def test_another_nonce_or_hash_is_refused(bound_to):
    assert code_of(classic, said(requestDetails__nonce=bound_to)) == Reason.BINDING_MISMATCH
    assert code_of(standard, said("requestHash", requestDetails__requestHash=bound_to)) == Reason.BINDING_MISMATCH


def test_a_nonce_may_be_padded():
    assert classic(said(requestDetails__nonce=f"{BOUND_TO}=")).level == Level.PLAY_STRONG


def test_one_kind_of_request_does_not_pass_for_the_other():
    assert code_of(classic, said("requestHash")) == Reason.BINDING_MISMATCH
    assert code_of(standard, said("nonce")) == Reason.BINDING_MISMATCH


JWE = {"alg": "A256KW", "enc": "A256GCM"}


@pytest.mark.parametrize(
    ("reason", "token"),
    [
        (Reason.ALGORITHM_NOT_ALLOWED, {"jwe": JWE | {"alg": "dir"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jwe": JWE | {"alg": "RSA1_5"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jwe": JWE | {"enc": "A128GCM"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jwe": {"alg": "A256KW"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jwe": JWE | {"zip": "DEF"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jwe": JWE | {"crit": ["b64"]}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jws": {"alg": "none"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jws": {"alg": "HS256"}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jws": {"alg": "ES256", "crit": []}}),
        (Reason.ALGORITHM_NOT_ALLOWED, {"jws": {"alg": "ES256", "zip": "DEF"}}),
        (Reason.MALFORMED, {"jws": {}}),
        (Reason.MALFORMED, {"jwe": {"alg": ["A256KW"], "enc": "A256GCM"}}),
        (Reason.NOT_DECRYPTED, {"keys": OTHER_PLAY.keys}),
        (Reason.BAD_SIGNATURE, {"signing": new_key()}),
    ],
    ids=lambda value: str(value) if isinstance(value, Reason) else None,  # keys differ from run to run
)
def test_a_token_with_one_fault_is_refused_for_it(reason, token):
    if "signing" in token:
        token = {"signing": OTHER_PLAY._signing}
    assert code_of(classic, **token) == reason


@pytest.mark.parametrize(
    "token",
    ["", ".", "....", "a.b.c.d.e", "a.b.c", "A" * 100, "e30.AAAA.AAAA.AAAA.AAAA", "e30=.AAAA.AAAA.AAAA.AAAA"],
    ids=str,
)
def test_a_token_of_another_form_is_malformed(token):
    assert code_of(Classic(rules(), PLAY.keys).verify, PlayClassic(token), BINDING, NOW_MS) == Reason.MALFORMED


@pytest.mark.parametrize("content", [b"\xff", b"", b"no token", b"a.b.c", b"e30..AAAA"])
def test_an_encrypted_something_else_is_malformed(content):
    evidence = PlayClassic(PLAY.encrypted(content))
    assert code_of(Classic(rules(), PLAY.keys).verify, evidence, BINDING, NOW_MS) == Reason.MALFORMED


TWICE = json.dumps(said())[:-1] + ', "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_STRONG_INTEGRITY"]}}'


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b"\xff", b"[" * 5_000, b'{"requestDetails": 1}', TWICE.encode()], ids=range(7)
)
def test_a_signed_something_else_is_malformed(payload):
    assert code_of(classic, payload) == Reason.MALFORMED


def test_a_header_that_names_a_member_twice_is_malformed():
    _, *parts = PLAY.classic_token(said()).split(".")
    header = to_base64url(b'{"alg": "dir", "alg": "A256KW", "enc": "A256GCM"}')
    evidence = PlayClassic(".".join([header, *parts]))
    assert code_of(Classic(rules(), PLAY.keys).verify, evidence, BINDING, NOW_MS) == Reason.MALFORMED


@pytest.mark.parametrize(
    ("reason", "faults"),
    [
        (Reason.WRONG_APP, {"requestDetails__requestPackageName": "x", "requestDetails__nonce": "x"}),
        (Reason.BINDING_MISMATCH, {"requestDetails__nonce": "x", "requestDetails__timestampMillis": "0"}),
        (Reason.TOO_OLD, {"requestDetails__timestampMillis": "0", "appIntegrity": {}}),
        (Reason.APP_NOT_RECOGNIZED, {"appIntegrity": {"appRecognitionVerdict": "UNEVALUATED"}, "deviceIntegrity": {}}),
        (Reason.WRONG_APP, {"appIntegrity__packageName": "x", "appIntegrity__certificateSha256Digest": []}),
        (Reason.WRONG_SIGNER, {"appIntegrity__certificateSha256Digest": [], "deviceIntegrity": {}}),
        (Reason.DEVICE_NOT_RECOGNIZED, {"deviceIntegrity": {}, "appIntegrity__versionCode": "1"}),
        (Reason.NOT_LICENSED, {"accountDetails": {}, "appIntegrity__versionCode": "1"}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_of_two_faults_the_first_in_order_is_told(reason, faults):
    strict = rules(is_licence_required=True, version_min=42)
    assert code_of(classic, said(**faults), policy=strict) == reason


def resized(token, change):
    """The same bytes, cut elsewhere."""
    header, *parts = token.split(".")
    return ".".join([header, *map(to_base64url, change(*map(from_base64url, parts)))])


@pytest.mark.parametrize(
    "change",
    [
        lambda key, nonce, text, tag: (key, nonce, text[:-1], text[-1:] + tag),
        lambda key, nonce, text, tag: (key, nonce, text + tag[:1], tag[1:]),
        lambda key, nonce, text, tag: (key, nonce, text + tag, b""),
        lambda key, nonce, text, tag: (key, nonce[:-1], text, tag),
        lambda key, nonce, text, tag: (key, nonce + b"\0", text, tag),
        lambda key, _, text, tag: (key, b"", text, tag),
    ],
    ids=["long tag", "short tag", "no tag", "short nonce", "long nonce", "no nonce"],
)
def test_nonce_and_tag_have_one_size(change):
    evidence = PlayClassic(resized(PLAY.classic_token(said()), change))
    assert code_of(Classic(rules(), PLAY.keys).verify, evidence, BINDING, NOW_MS) == Reason.MALFORMED


@pytest.mark.parametrize("wrapped", [b"", bytes(8), bytes(23), bytes(40)])
def test_a_content_key_that_was_not_wrapped_decrypts_nothing(wrapped):
    evidence = PlayClassic(resized(PLAY.classic_token(said()), lambda _, *others: (wrapped, *others)))
    assert code_of(Classic(rules(), PLAY.keys).verify, evidence, BINDING, NOW_MS) == Reason.NOT_DECRYPTED


def test_a_content_key_of_another_size_is_refused():
    inner = jose._decrypted(PLAY.classic_token(said()), PLAY.keys.decryption_key)
    evidence = PlayClassic(PLAY.encrypted(inner.encode(), content_key_bytes=16))
    assert code_of(Classic(rules(), PLAY.keys).verify, evidence, BINDING, NOW_MS) == Reason.NOT_DECRYPTED


@pytest.mark.parametrize("change", [lambda r, s: r + b"\0" + s, lambda r, _: r, lambda *_: b""])
def test_a_signature_has_one_size(change):
    header, payload, signature = jose._decrypted(PLAY.classic_token(said()), PLAY.keys.decryption_key).split(".")
    raw = from_base64url(signature)
    inner = f"{header}.{payload}.{to_base64url(change(raw[:32], raw[32:]))}"
    evidence = PlayClassic(PLAY.encrypted(inner.encode()))
    assert code_of(Classic(rules(), PLAY.keys).verify, evidence, BINDING, NOW_MS) == Reason.BAD_SIGNATURE


def test_a_token_that_is_not_encrypted_is_refused():
    part = to_base64url(json.dumps({"alg": "none"}).encode())
    token = f"{part}.{to_base64url(json.dumps(said()).encode())}."
    assert code_of(Classic(rules(), PLAY.keys).verify, PlayClassic(token), BINDING, NOW_MS) == Reason.MALFORMED


def test_a_large_token_is_not_looked_at():
    token = PLAY.classic_token(said(environmentDetails={"x": "y" * TOKEN_MAX_CHARACTERS}))
    assert code_of(Classic(rules(), PLAY.keys).verify, PlayClassic(token), BINDING, NOW_MS) == Reason.TOO_LARGE
    decoder = Answering(said("requestHash"))
    large = PlayStandard("A" * (TOKEN_MAX_CHARACTERS + 1))
    assert code_of(Standard(rules(), decoder).verify, large, BINDING, NOW_MS) == Reason.TOO_LARGE
    assert decoder.asked == []


@pytest.mark.parametrize("text", ["A", "AB", "AAB", "AA==", "A A", "AA\n", "A+A/", "é"])
def test_base64url_has_one_form(text):
    assert code_of(from_base64url, text) == Reason.MALFORMED


# Standard requests


def test_a_token_that_is_sent_again_is_judged_again_and_not_decoded_again():
    decoder = Answering(said("requestHash"))
    verifier = Standard(rules(), decoder)
    first, second = (verifier.verify(PlayStandard("token"), BINDING, NOW_MS + n) for n in range(2))
    assert first == second
    other = Binding("a" * 24, "c" * 24, b"", bytes(32))
    assert code_of(verifier.verify, PlayStandard("token"), other, NOW_MS) == Reason.BINDING_MISMATCH
    assert code_of(verifier.verify, PlayStandard("token"), BINDING, NOW_MS + 300_001) == Reason.TOO_OLD
    assert decoder.asked == ["token"]


@pytest.mark.parametrize("payload", [said("requestHash"), Reason.DECODER_REFUSED], ids=["decoded", "refused"])
def test_for_one_challenge_one_token_is_decoded(payload):
    decoder = Answering(payload)
    verifier = Standard(rules(), decoder)
    for n in range(20):
        with suppress(Refused):
            verifier.verify(PlayStandard(f"made-up-{n}"), BINDING, NOW_MS)
    assert decoder.asked == ["made-up-0"]
    assert code_of(verifier.verify, PlayStandard("made-up-1"), BINDING, NOW_MS) == Reason.TOKEN_REPEATED
    code_of(verifier.verify, PlayStandard("made-up-1"), nth_binding(1), NOW_MS)
    assert decoder.asked == ["made-up-0", "made-up-1"]


def nth_binding(n):
    return Binding("a" * 24, "b" * 24, b"", n.to_bytes(32))


@pytest.mark.parametrize("reason", [Reason.DECODER_UNREACHABLE, Reason.DECODER_REFUSED])
def test_a_token_that_could_not_be_decoded_is_not_sent_again(reason):
    decoder = Answering(reason)
    verifier = Standard(rules(), decoder)
    assert code_of(verifier.verify, PlayStandard("token"), BINDING, NOW_MS) == reason
    assert code_of(verifier.verify, PlayStandard("token"), BINDING, NOW_MS) == Reason.TOKEN_REPEATED
    assert decoder.asked == ["token"]


def test_of_sixteen_that_send_one_token_at_once_one_has_it_decoded():
    decoder = Answering(said("requestHash"))
    verifier = Standard(rules(), decoder)

    def send(_):
        try:
            return verifier.verify(PlayStandard("token"), BINDING, NOW_MS).level
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(16) as threads:
        outcomes = set(threads.map(send, range(16)))
    assert outcomes <= {Level.PLAY_STRONG, Reason.TOKEN_REPEATED}
    assert decoder.asked == ["token"]


def test_what_is_remembered_of_tokens_is_bounded_in_time():
    verifier = Standard(rules(), Answering(Reason.DECODER_REFUSED))
    for n in range(100):
        code_of(verifier.verify, PlayStandard(f"token{n}"), nth_binding(n), NOW_MS + n * 60_000)
    assert len(verifier._sent) == 12


def test_what_is_remembered_of_tokens_is_bounded_in_number(monkeypatch):
    monkeypatch.setattr("unbroken.backend.attestation.play._REMEMBERED_MAX", 10)
    verifier = Standard(rules(), Answering(Reason.DECODER_REFUSED))
    for n in range(20):
        code_of(verifier.verify, PlayStandard(f"token{n}"), nth_binding(n), NOW_MS)
    assert code_of(verifier.verify, PlayStandard("token19"), nth_binding(19), NOW_MS) == Reason.TOKEN_REPEATED
    assert code_of(verifier.verify, PlayStandard("token0"), nth_binding(0), NOW_MS) == Reason.DECODER_REFUSED
    assert len(verifier._sent) == 10


# Keys and rules


def test_response_keys_are_read_as_the_console_shows_them():
    decryption, verification = (base64.b64encode(key).decode() for key in (bytes(32), PLAY.keys.verification_key))
    keys = ResponseKeys.of_console(decryption, verification)
    assert keys.verification_key == PLAY.keys.verification_key
    assert base64.b64encode(bytes(32)).decode() not in repr(keys)
    assert repr(bytes(32)) not in repr(keys)


@pytest.mark.parametrize(
    ("decryption", "verification"),
    [
        (base64.b64encode(bytes(16)).decode(), base64.b64encode(PLAY.keys.verification_key).decode()),
        ("no base64!", base64.b64encode(PLAY.keys.verification_key).decode()),
        (base64.b64encode(bytes(32)).decode(), base64.b64encode(public_der(new_key())).decode()),
        (base64.b64encode(bytes(32)).decode(), base64.b64encode(GOOGLE_RSA_ROOT).decode()),
        (base64.b64encode(bytes(32)).decode(), ""),
    ],
    ids=["short", "no base64", "another curve", "RSA", "none"],
)
def test_keys_that_are_none_are_refused_at_once(decryption, verification):
    with pytest.raises(ValueError, match=r"."):
        ResponseKeys.of_console(decryption, verification)


@pytest.mark.parametrize(
    "changed",
    [
        {"packages": PACKAGE},
        {"signers": {SIGNER.hex()}},
        {"signers": {SIGNER[:20]}},
        {"signers": SIGNER},
    ],
    ids=["one name", "hex", "SHA-1", "one digest"],
)
def test_rules_that_other_apps_or_none_would_meet_are_refused_at_once(changed):
    with pytest.raises(ValueError, match=r"packages are|a signer is"):
        rules(**changed)


def test_rules_stay_what_they_were_made():
    packages = {PACKAGE}
    made = rules(packages=packages, signers=[SIGNER])
    packages.add("com.example.other")
    assert (made.packages, made.signers) == (frozenset({PACKAGE}), frozenset({SIGNER}))


def test_a_level_that_play_does_not_have_is_refused_at_once():
    with pytest.raises(ValueError, match="no level of Play Integrity"):
        rules(level_min=Level.TEE)

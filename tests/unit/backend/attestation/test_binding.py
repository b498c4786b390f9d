"""What a proof is bound to, and that it is worth nothing for anything else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.backend.attestation import Binding, Kind, Refused, read_evidence
from unbroken.clock import ManualClock
from unbroken.testing.attestation import AttestationLab

NOW_MS = 1_790_000_000_000
BINDING = Binding("a" * 24, "b" * 24, b"a key", bytes(range(32)))
PARTS = st.tuples(st.text(max_size=9), st.text(max_size=9), st.binary(max_size=9), st.binary(min_size=32, max_size=32))


def test_the_bytes_are_those_of_the_page():
    """docs/reference/attestation.md has the same example, so that other languages can be checked against it."""
    assert BINDING.client_data == (
        b"unb-link/1" + b"\x18" + b"a" * 24 + b"\x18" + b"b" * 24 + b"\x05a key" + bytes(range(32))
    )
    assert BINDING.digest == hashlib.sha256(BINDING.client_data).digest()


@given(PARTS, PARTS)
def test_two_bindings_never_share_their_bytes(one, other):
    assert (Binding(*one).client_data == Binding(*other).client_data) == (one == other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"challenge": bytes(31)},
        {"challenge": bytes(33)},
        {"install_key": bytes(256)},
        {"app_id": "a" * 256},
        {"install_id": "é" * 128},
    ],
    ids=str,
)
def test_parts_of_another_size_are_refused(wrong):
    with pytest.raises(ValueError, match=r"bytes"):
        replace(BINDING, **wrong)


def test_a_binding_shows_no_challenge():
    assert repr(bytes(range(32))) not in repr(BINDING)


# Replay: each accepted proof is sent again for something else.

OTHERS = {
    "another app": (replace(BINDING, app_id="c" * 24), NOW_MS),
    "another install": (replace(BINDING, install_id="c" * 24), NOW_MS),
    "another key": (replace(BINDING, install_key=b"another"), NOW_MS),
    "another challenge, as another account gets it": (replace(BINDING, challenge=bytes(32)), NOW_MS),
    "a year later": (BINDING, NOW_MS + 365 * 86_400_000),
    "a year earlier": (BINDING, NOW_MS - 365 * 86_400_000),
}
KINDS = ["app_attest", "app_attest_assertion", "android_key", "play_classic", "play_standard"]


@pytest.fixture(scope="module")
def lab():
    with AttestationLab(ManualClock(NOW_MS)) as made:
        yield made


def proof_of(lab, kind, binding=BINDING):
    phone = lab.iphone() if kind.startswith("app") else lab.android()
    if kind == "app_attest_assertion":
        lab.verifiers()[Kind.APP_ATTEST].verify(read_evidence(phone.app_attest(binding)), binding, NOW_MS)
    return read_evidence(getattr(phone, kind)(binding))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_accepted_proof_is_refused_for_anything_else(lab, kind, other):
    evidence = proof_of(lab, kind)
    binding, now_ms = OTHERS[other]
    verifier = lab.verifiers()[Kind(kind)]
    verifier.verify(evidence, BINDING, NOW_MS)
    with pytest.raises(Refused):
        lab.verifiers()[Kind(kind)].verify(evidence, binding, now_ms)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_has_one_digest_however_often_it_is_verified(lab, kind):
    evidence, proofs = proof_of(lab, kind), []
    for _ in range(2):
        lab.play.decodings.clear()
        try:
            proofs.append(lab.verifiers()[Kind(kind)].verify(evidence, BINDING, NOW_MS))
        except Refused:
            assert kind == "app_attest_assertion"  # the counter itself tells
    assert len({proof.digest for proof in proofs}) == 1
    binding = replace(BINDING, install_id="c" * 24)
    other = lab.verifiers()[Kind(kind)].verify(proof_of(lab, kind, binding), binding, NOW_MS)
    assert other.digest != proofs[0].digest

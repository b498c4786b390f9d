"""Whatever byte of an accepted proof is changed, it is refused, with the declared error and no other.

Apple's receipt is the one part that is not looked at. A seeded sample by default; every byte with `-m prove`.
"""

from __future__ import annotations

import hashlib
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again

import pytest
from tests.unit.backend.attestation import vectors
from tests.unit.backend.attestation.test_real_vectors import (
    ASSERTIONS,
    ATTESTATIONS,
    CHAINS,
    REFUSED_CHAINS,
    android_key,
    app_attest,
    by_name,
)

from unbroken.backend.attestation import Binding, Refused, cbor
from unbroken.backend.attestation.app_attest import AppAssert
from unbroken.backend.attestation.counters import MemoryCounters
from unbroken.backend.attestation.evidence import PlayClassic
from unbroken.backend.attestation.play import Classic, PlayRules
from unbroken.testing.attestation.play import Play, verdict

GENUINE = [vector for vector in CHAINS if vector.name not in REFUSED_CHAINS]
SAMPLE = 120
NOW_MS = 1_790_000_000_000
PACKAGE, SIGNER = "com.example.app", hashlib.sha256(b"signer").digest()


def accepted_flips(data, verify, count=None):
    """Where a changed byte is accepted, of all places or of a seeded sample."""
    chance = Random(hashlib.sha256(data).digest())
    places = range(len(data)) if count is None else sorted(chance.sample(range(len(data)), min(count, len(data))))
    accepted = []
    for at in places:
        changed = bytearray(data)
        changed[at] ^= chance.randrange(1, 256)
        try:
            verify(bytes(changed))
        except Refused:
            continue
        accepted.append(at)
    return accepted


def flip_attestation(vector, count):
    verifier = app_attest(vector)
    receipt = cbor.read(vector.attestation)["attStmt"]["receipt"]
    begin = vector.attestation.index(receipt)
    unlooked_at = range(begin, begin + len(receipt))

    def verify(attestation):
        verifier.attested(attestation, vector.key_id, vector.client_data_hash, vector.at_ms)

    accepted = accepted_flips(vector.attestation, verify, count)
    assert accepted, "some byte of the sample is in the receipt, or nothing was verified at all"
    assert set(accepted) <= set(unlooked_at)
    assert count is not None or accepted == list(unlooked_at)


def flip_assertion(vector, count):
    verifier = AppAssert([vector.app_id], MemoryCounters())
    accepted = accepted_flips(
        vector.assertion, lambda a: verifier.asserted(a, vector.public_key, vector.client_data_hash), count
    )
    assert accepted == []


def flip_chain(vector, count):
    verifier = android_key(vector)
    verifier.attested(vector.chain, vector.challenge, vector.at_ms)
    for n, certificate in enumerate(vector.chain):

        def verify(changed, n=n):
            chain = (*vector.chain[:n], changed, *vector.chain[n + 1 :])
            verifier.attested(chain, vector.challenge, vector.at_ms)

        assert accepted_flips(certificate, verify, count) == [], f"certificate {n}"


def flip_token():
    play, binding = Play(), Binding("a" * 24, "b" * 24, b"", bytes(32))
    verifier = Classic(PlayRules(packages={PACKAGE}, signers={SIGNER}), play.keys)
    said = verdict(PACKAGE, SIGNER, {"nonce": "s0JRQfjAPOMLPv_iYbF0WD5byhuy5SK_ZF-l6s2LvyQ"}, NOW_MS)
    token = play.classic_token(said)

    def verify(changed):
        verifier.verify(PlayClassic(changed.decode("latin-1")), binding, NOW_MS)

    verify(token.encode())
    return accepted_flips(token.encode(), verify)


@vectors.needed
@pytest.mark.parametrize("vector", ATTESTATIONS, ids=by_name)
def test_a_changed_byte_of_an_attestation_is_refused_outside_the_receipt(vector):
    flip_attestation(vector, SAMPLE)


@vectors.needed
@pytest.mark.parametrize("vector", ASSERTIONS, ids=by_name)
def test_a_changed_byte_of_an_assertion_is_refused(vector):
    flip_assertion(vector, None)


@vectors.needed
@pytest.mark.parametrize("vector", GENUINE, ids=by_name)
def test_a_changed_byte_of_a_chain_is_refused(vector):
    flip_chain(vector, SAMPLE // 5)


def test_a_changed_byte_of_a_classic_token_is_refused():
    assert flip_token() == []


@vectors.needed
@pytest.mark.prove
@pytest.mark.parametrize("vector", ATTESTATIONS, ids=by_name)
def test_every_changed_byte_of_an_attestation_is_refused_outside_the_receipt(vector):
    flip_attestation(vector, None)


@vectors.needed
@pytest.mark.prove
@pytest.mark.parametrize("vector", GENUINE, ids=by_name)
def test_every_changed_byte_of_a_chain_is_refused(vector):
    flip_chain(vector, None)

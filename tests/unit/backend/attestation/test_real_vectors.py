"""What real devices sent is judged rightly: accepted at its time and for what it was made for, refused otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store
from tests.unit.backend.attestation import vectors

from unbroken.backend.attestation import Level, Reason, Refused, cbor, certificates
from unbroken.backend.attestation.anchors import GOOGLE_P384_ROOT
from unbroken.backend.attestation.android_key import AndroidKeyAttest, DeviceRules
from unbroken.backend.attestation.app_attest import AppAssert, AppAttest
from unbroken.backend.attestation.counters import MemoryCounters
from unbroken.backend.attestation.key_description import read_key_description
from unbroken.backend.attestation.revocation import RevocationList
from unbroken.testing.attestation.android import KEY_DESCRIPTION

pytestmark = vectors.needed

DAY_MS = 86_400_000
REFUSED_CHAINS = {
    "akita/sdk34/TEE_RSA_BASE+IMEI": Reason.WRONG_SIGNER,  # the system named no signer
    "blueline/sdk28/TEE_RSA_BASE+IMEI": Reason.WRONG_SIGNER,
    "marlin/sdk29/TEE_EC_NONE": Reason.UNTRUSTED_ROOT,  # attested by software
    "marlin/sdk29/TEE_RSA_NONE": Reason.UNTRUSTED_ROOT,
    "invalid/malformed_rot_device_locked": Reason.MALFORMED,
    "invalid/tags_not_in_ascending_order": Reason.BAD_SIGNATURE,  # written by hand after it was signed
}
ATTESTATIONS = vectors.attestations() if vectors.HERE else []
ASSERTIONS = vectors.assertions() if vectors.HERE else []
CHAINS = vectors.chains() if vectors.HERE else []


class NothingRevoked:
    def current(self, now_ms):
        return RevocationList(frozenset(), now_ms)


def app_attest(vector, **settings):
    return AppAttest([vector.app_id], **{"is_development_allowed": not vector.is_production, **settings})


def attested(vector, verifier=None, **changed):
    said = {
        "attestation": vector.attestation,
        "key_id": vector.key_id,
        "client_data_hash": vector.client_data_hash,
        "now_ms": vector.at_ms,
    }
    return (verifier or app_attest(vector)).attested(**said | changed)


def android_key(vector, **rules):
    devices = DeviceRules(**{"is_boot_checked": False, **rules})  # Google's test phones have open boot loaders
    return AndroidKeyAttest(vector.packages, vector.signers, NothingRevoked(), devices=devices)


def by_name(vector):
    return vector.name


def code_of(judge, *args, **changed):
    with pytest.raises(Refused) as caught:
        judge(*args, **changed)
    return caught.value.code


def description_in(vector):
    leaf = certificates.read_certificate(vector.chain[0])
    return certificates.extension_of(leaf, x509.ObjectIdentifier(KEY_DESCRIPTION))


def test_there_are_vectors_of_every_kind():
    assert (len(ATTESTATIONS), len(ASSERTIONS), len(CHAINS)) == (4, 3, 14)
    assert {vector.is_production for vector in ATTESTATIONS} == {True, False}
    assert len([vector for vector in CHAINS if vector.name in REFUSED_CHAINS]) == 5


@pytest.mark.parametrize("vector", ATTESTATIONS, ids=by_name)
def test_an_attestation_is_accepted_at_its_time_with_its_binding(vector):
    result = attested(vector)
    assert (result.app_id, result.key_id) == (vector.app_id, vector.key_id)
    assert result.is_production == vector.is_production


@pytest.mark.parametrize("vector", ATTESTATIONS, ids=by_name)
def test_an_attestation_is_refused_for_anything_else(vector):
    other_app = AppAttest([f"{vector.app_id}x"], is_development_allowed=True)
    assert code_of(attested, vector, client_data_hash=bytes(32)) == Reason.BINDING_MISMATCH
    assert code_of(attested, vector, key_id=bytes(32)) == Reason.KEY_MISMATCH
    assert code_of(attested, vector, other_app) == Reason.WRONG_APP
    assert code_of(attested, vector, now_ms=vector.at_ms - 400 * DAY_MS) == Reason.CERTIFICATE_NOT_VALID_NOW
    assert code_of(attested, vector, now_ms=vector.at_ms + 400 * DAY_MS) == Reason.CERTIFICATE_NOT_VALID_NOW
    assert code_of(attested, vector, app_attest(vector, root=GOOGLE_P384_ROOT)) == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("vector", [v for v in ATTESTATIONS if not v.is_production], ids=by_name)
def test_an_attestation_of_a_development_build_counts_only_where_it_may(vector):
    assert code_of(attested, vector, AppAttest([vector.app_id])) == Reason.WRONG_ENVIRONMENT


@pytest.mark.parametrize("vector", ATTESTATIONS, ids=by_name)
def test_cryptographys_own_path_check_agrees_on_apples_chain(vector):
    leaf, *others = map(x509.load_der_x509_certificate, cbor.read(vector.attestation)["attStmt"]["x5c"])
    root = x509.load_pem_x509_certificate((vectors.APPLE / "Apple_App_Attestation_Root_CA.pem").read_bytes())
    at = datetime.fromtimestamp(vector.at_ms / 1000, UTC)
    policies = {"ca_policy": ExtensionPolicy.webpki_defaults_ca(), "ee_policy": ExtensionPolicy.permit_all()}
    builder = PolicyBuilder().store(Store([root])).time(at).extension_policies(**policies)
    verified = builder.build_client_verifier().verify(leaf, others)
    assert len(verified.chain) == 3


@pytest.mark.parametrize("vector", ASSERTIONS, ids=by_name)
def test_an_assertion_is_accepted_by_its_key_for_its_data_alone(vector):
    verifier = AppAssert([vector.app_id], MemoryCounters())
    said = vector.assertion, vector.public_key
    asserted = verifier.asserted(*said, vector.client_data_hash)
    assert (asserted.app_id, asserted.counter) == (vector.app_id, vector.counter)
    other_app = AppAssert([f"{vector.app_id}x"], MemoryCounters())
    assert code_of(other_app.asserted, *said, vector.client_data_hash) == Reason.WRONG_APP
    assert code_of(verifier.asserted, *said, bytes(32)) == Reason.BAD_SIGNATURE
    for other in (another for another in ASSERTIONS if another.public_key != vector.public_key):
        assert code_of(verifier.asserted, vector.assertion, other.public_key, vector.client_data_hash)


@pytest.mark.parametrize("vector", CHAINS, ids=by_name)
def test_a_chain_is_judged_as_expected(vector):
    verifier = android_key(vector)
    if vector.name in REFUSED_CHAINS:
        reason = code_of(verifier.attested, vector.chain, vector.challenge, vector.at_ms)
        assert reason == REFUSED_CHAINS[vector.name]
        return
    proof = verifier.attested(vector.chain, vector.challenge, vector.at_ms)
    level = {"STRONG_BOX": Level.STRONGBOX, "TRUSTED_ENVIRONMENT": Level.TEE}[vector.expected["keyMintSecurityLevel"]]
    assert proof.level == level
    assert proof.facts["patch_level"] == vector.expected["hardwareEnforced"]["osPatchLevel"]


@pytest.mark.parametrize("vector", [v for v in CHAINS if v.expected], ids=by_name)
def test_a_key_description_reads_as_google_reads_it(vector):
    read = read_key_description(description_in(vector))
    expected, names = vector.expected, {"STRONG_BOX": "STRONGBOX", "TRUSTED_ENVIRONMENT": "TEE"}
    assert read.challenge == vector.challenge
    for level, name in ((read.attestation_level, "attestationSecurityLevel"), (read.key_level, "keyMintSecurityLevel")):
        assert level.name == names.get(expected[name], expected[name])
    assert (read.origin == 0) == (expected["hardwareEnforced"].get("origin") == "GENERATED")
    root = expected["hardwareEnforced"].get("rootOfTrust")
    assert (read.root_of_trust is None) == (root is None)
    if root is not None:
        assert read.root_of_trust.boot_key == vectors.bytes_of(root["verifiedBootKey"])
        assert read.root_of_trust.is_locked == root.get("deviceLocked", False)
        assert read.root_of_trust.boot_state.name == root["verifiedBootState"]
    assert read.application is None or read.application.packages == vector.packages
    assert read.application is None or read.application.signers == vector.signers


@pytest.mark.parametrize("vector", [v for v in CHAINS if v.name.startswith("invalid/")], ids=by_name)
def test_a_malformed_key_description_is_refused_by_itself(vector):
    assert code_of(read_key_description, description_in(vector)) == Reason.MALFORMED


@pytest.mark.parametrize("vector", [v for v in CHAINS if v.name not in REFUSED_CHAINS], ids=by_name)
def test_a_chain_is_refused_for_anything_else(vector):
    verifier, said = android_key(vector), (vector.chain, vector.challenge, vector.at_ms)
    boot = vector.expected["hardwareEnforced"]["rootOfTrust"]["verifiedBootState"]
    others = AndroidKeyAttest(
        {"com.example"}, vector.signers, NothingRevoked(), devices=DeviceRules(is_boot_checked=False)
    )
    assert code_of(verifier.attested, vector.chain, bytes(32), vector.at_ms) == Reason.BINDING_MISMATCH
    assert code_of(others.attested, *said) == Reason.WRONG_APP
    assert code_of(android_key(vector, patch_level_min=209901).attested, *said) == Reason.PATCH_LEVEL_TOO_OLD
    assert code_of(verifier.attested, vector.chain[:-1], *said[1:]) == Reason.UNTRUSTED_ROOT
    assert code_of(verifier.attested, vector.chain[1:], *said[1:]) == Reason.EXTENSION_MISPLACED
    assert code_of(verifier.attested, (vector.chain[0], *vector.chain[2:]), *said[1:]) == Reason.BROKEN_CHAIN
    if boot != "VERIFIED":
        assert code_of(android_key(vector, is_boot_checked=True).attested, *said) == Reason.BOOT_NOT_VERIFIED


@pytest.mark.parametrize("vector", [v for v in CHAINS if v.name not in REFUSED_CHAINS], ids=by_name)
def test_validity_is_enforced_where_keys_are_provisioned_remotely(vector):
    verifier, is_remote = android_key(vector), len(vector.chain) == 5
    years_later = vector.at_ms + 30 * 365 * DAY_MS
    if is_remote:
        reason = code_of(verifier.attested, vector.chain, vector.challenge, years_later)
        assert reason == Reason.CERTIFICATE_NOT_VALID_NOW
    else:
        assert verifier.attested(vector.chain, vector.challenge, years_later)
    reason = code_of(verifier.attested, vector.chain, vector.challenge, vector.at_ms - 30 * 365 * DAY_MS)
    assert reason == Reason.CERTIFICATE_NOT_VALID_NOW

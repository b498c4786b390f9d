"""Android Key Attestation against a fake Google: what lacks nothing is accepted, each single fault has its reason."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from unbroken.backend.attestation import Level, Reason, Refused, der
from unbroken.backend.attestation.android_key import AndroidKeyAttest, DeviceRules
from unbroken.backend.attestation.key_description import BootState, SecurityLevel
from unbroken.backend.attestation.revocation import RevocationList
from unbroken.testing.attestation.android import KEY_DESCRIPTION, Description, KeyRoots, SecureHardware
from unbroken.testing.attestation.encoding import element, integer, octets, sequence, tagged
from unbroken.testing.attestation.issuing import DAY_MS, YEAR_MS, Authority, Life, encoded, name, new_key

NOW_MS = 1_790_000_000_000
PACKAGE = "com.example.app"
SIGNER = hashlib.sha256(b"signer").digest()
CHALLENGE = hashlib.sha256(b"challenge").digest()
BOOT_KEY = hashlib.sha256(b"a system of our own").digest()
ROOTS = KeyRoots(NOW_MS)
HARDWARE = {
    "remote": SecureHardware(ROOTS, NOW_MS),
    "factory": SecureHardware(ROOTS, NOW_MS, is_of_factory=True),
    "remote StrongBox": SecureHardware(ROOTS, NOW_MS, is_strongbox=True),
    "factory StrongBox": SecureHardware(ROOTS, NOW_MS, is_strongbox=True, is_of_factory=True),
    "remote, over": SecureHardware(ROOTS, NOW_MS, life=Life(NOW_MS - 40 * DAY_MS, NOW_MS - DAY_MS)),
    "remote, not begun": SecureHardware(ROOTS, NOW_MS, life=Life(NOW_MS + DAY_MS, NOW_MS + 40 * DAY_MS)),
    "factory, over": SecureHardware(ROOTS, NOW_MS, is_of_factory=True, life=Life(0, NOW_MS - DAY_MS)),
    "factory, not begun": SecureHardware(
        ROOTS, NOW_MS, is_of_factory=True, life=Life(NOW_MS + DAY_MS, NOW_MS + 40 * DAY_MS)
    ),
    "of nobody": SecureHardware(KeyRoots(NOW_MS), NOW_MS),
}
STRONGBOX = {"attestation_level": SecurityLevel.STRONGBOX, "key_level": SecurityLevel.STRONGBOX}


class Listed:
    def __init__(self, *serials):
        self.serials = frozenset(f"{serial:x}" for serial in serials)

    def current(self, now_ms):
        return RevocationList(self.serials, now_ms)


def verifier(*, revocations=None, **rules):
    devices = DeviceRules(**rules)
    return AndroidKeyAttest({PACKAGE}, {SIGNER}, revocations or Listed(), devices=devices, roots=ROOTS.public_keys)


def description(**said):
    defaults = {"challenge": CHALLENGE, "packages": [PACKAGE], "signers": [SIGNER]}
    return Description(**{**defaults, **said}).encode()


def chain_of(hardware="remote", extension=None, **said):
    return HARDWARE[hardware].make_key(description(**said) if extension is None else extension)[1]


def application(*, members=2, package_members=2, package=b"com.example.app"):
    """An application id with other members than it has."""
    named = sequence([octets(package), integer(1), integer(2)][:package_members])
    parts = [sequence([named], der.SET), sequence([octets(SIGNER)], der.SET), integer(3)][:members]
    return {"has_application": False, "software_extra": tagged(709, octets(sequence(parts)))}


def judge(hardware="remote", *, rules=None, revocations=None, **said):
    return verifier(revocations=revocations, **(rules or {})).attested(chain_of(hardware, **said), CHALLENGE, NOW_MS)


def refusal(chain, **rules):
    with pytest.raises(Refused) as caught:
        verifier(**rules).attested(chain, CHALLENGE, NOW_MS)
    return caught.value.code


@pytest.mark.parametrize(
    ("hardware", "said", "level"),
    [
        ("remote", {}, Level.TEE),
        ("factory", {}, Level.TEE),
        ("remote StrongBox", STRONGBOX, Level.STRONGBOX),
        ("factory StrongBox", STRONGBOX, Level.STRONGBOX),
        ("factory, over", {}, Level.TEE),
    ],
)
def test_a_chain_that_lacks_nothing_is_accepted(hardware, said, level):
    proof = judge(hardware, **said)
    assert proof.level == level
    assert proof.key
    assert dict(proof.facts) == {
        "packages": PACKAGE,
        "boot_state": "verified",
        "is_locked": "True",
        "patch_level": "202610",
    }


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"boot_keys": {BOOT_KEY}}, {"boot_state": BootState.SELF_SIGNED, "boot_key": BOOT_KEY}),
        ({"is_boot_checked": False}, {"boot_state": BootState.UNVERIFIED, "is_locked": False}),
        ({"is_boot_checked": False}, {"boot_state": None}),
        ({"patch_level_min": 202610}, {"patch_level": 202610}),
        ({}, {"patch_level": None}),
        ({"levels": {Level.TEE}}, {}),
    ],
    ids=str,
)
def test_rules_can_take_more(rules, said):
    assert judge(rules=rules, **said)


@pytest.mark.parametrize("patch_level", [2026, 0, -1, 26_01, 202600, 202613, 20260105])
def test_a_patch_level_that_every_system_or_none_has_is_refused_at_once(patch_level):
    with pytest.raises(ValueError, match="a year and a month"):
        DeviceRules(patch_level_min=patch_level)


@pytest.mark.parametrize(
    ("packages", "signers"),
    [(PACKAGE, {SIGNER}), ({PACKAGE}, SIGNER), ({PACKAGE}, {SIGNER.hex()}), ({PACKAGE}, {SIGNER[:20]})],
    ids=["one name", "one digest", "hex", "SHA-1"],
)
def test_an_app_that_no_phone_has_is_refused_at_once(packages, signers):
    with pytest.raises(ValueError, match=r"packages are|a signer is"):
        AndroidKeyAttest(packages, signers, Listed())


@pytest.mark.parametrize(
    ("reason", "hardware", "fault"),
    [
        (Reason.BINDING_MISMATCH, "remote", {"challenge": bytes(32)}),
        (Reason.BINDING_MISMATCH, "remote", {"challenge": b""}),
        (Reason.BINDING_MISMATCH, "remote", {"challenge": CHALLENGE + b"\0"}),
        (Reason.SECURITY_LEVEL, "remote", {"attestation_level": SecurityLevel.SOFTWARE}),
        (Reason.SECURITY_LEVEL, "remote", {"key_level": SecurityLevel.SOFTWARE}),
        (Reason.SECURITY_LEVEL, "remote", {"attestation_level": 0, "key_level": 0}),
        (Reason.SECURITY_LEVEL, "remote", {"attestation_level": SecurityLevel.TEE, "key_level": 2}),
        (Reason.SECURITY_LEVEL, "remote", STRONGBOX),
        (Reason.SECURITY_LEVEL, "factory", STRONGBOX),
        (Reason.SECURITY_LEVEL, "remote", {"rules": {"levels": {Level.STRONGBOX}}}),
        (Reason.KEY_NOT_GENERATED, "remote", {"origin": 1}),
        (Reason.KEY_NOT_GENERATED, "remote", {"origin": 2}),
        (Reason.KEY_NOT_GENERATED, "remote", {"origin": None}),
        (Reason.KEY_OF_ALL_APPLICATIONS, "remote", {"is_of_all_applications": True}),
        (Reason.KEY_OF_ALL_APPLICATIONS, "remote", {"has_application": False, "software_extra": tagged(600, b"\5\0")}),
        (Reason.BOOT_NOT_VERIFIED, "remote", {"boot_state": None}),
        (Reason.BOOT_NOT_VERIFIED, "remote", {"is_locked": False}),
        (Reason.BOOT_NOT_VERIFIED, "remote", {"boot_state": BootState.UNVERIFIED}),
        (Reason.BOOT_NOT_VERIFIED, "remote", {"boot_state": BootState.FAILED}),
        (Reason.BOOT_NOT_VERIFIED, "remote", {"boot_state": BootState.SELF_SIGNED, "boot_key": BOOT_KEY}),
        (
            Reason.BOOT_NOT_VERIFIED,
            "remote",
            {"boot_state": BootState.SELF_SIGNED, "rules": {"boot_keys": {BOOT_KEY}}},
        ),
        (
            Reason.BOOT_NOT_VERIFIED,
            "remote",
            {
                "boot_state": BootState.SELF_SIGNED,
                "boot_key": BOOT_KEY,
                "is_locked": False,
                "rules": {"boot_keys": {BOOT_KEY}},
            },
        ),
        (Reason.PATCH_LEVEL_TOO_OLD, "remote", {"patch_level": 202609, "rules": {"patch_level_min": 202610}}),
        (Reason.PATCH_LEVEL_TOO_OLD, "remote", {"patch_level": None, "rules": {"patch_level_min": 202610}}),
        (Reason.PATCH_LEVEL_TOO_OLD, "remote", {"patch_level": 20200105, "rules": {"patch_level_min": 202610}}),
        (Reason.PATCH_LEVEL_TOO_OLD, "remote", {"patch_level": 202613, "rules": {"patch_level_min": 202610}}),
        (Reason.PATCH_LEVEL_TOO_OLD, "remote", {"patch_level": 999_913, "rules": {"patch_level_min": 202610}}),
        (Reason.WRONG_APP, "remote", {"packages": ["com.example.other"]}),
        (Reason.WRONG_APP, "remote", {"packages": [PACKAGE, "com.example.other"]}),
        (Reason.WRONG_APP, "remote", {"packages": []}),
        (Reason.WRONG_APP, "remote", {"has_application": False}),
        (Reason.WRONG_SIGNER, "remote", {"signers": [bytes(32)]}),
        (Reason.WRONG_SIGNER, "remote", {"signers": [SIGNER, bytes(32)]}),
        (Reason.WRONG_SIGNER, "remote", {"signers": []}),
        (Reason.UNTRUSTED_ROOT, "of nobody", {}),
        (Reason.CERTIFICATE_NOT_VALID_NOW, "remote, over", {}),
        (Reason.CERTIFICATE_NOT_VALID_NOW, "remote, not begun", {}),
        (Reason.CERTIFICATE_NOT_VALID_NOW, "factory, not begun", {}),
        (Reason.MALFORMED, "remote", {"attestation_level": 3}),
        (Reason.MALFORMED, "remote", {"boot_state": 4}),
        (Reason.MALFORMED, "remote", {"version": 2}),
        (Reason.MALFORMED, "remote", {"hardware_extra": tagged(702, integer(0))}),
        (Reason.MALFORMED, "remote", {"hardware_extra": tagged(5, integer(0))}),
        (Reason.MALFORMED, "remote", {"hardware_extra": integer(0)}),
        (Reason.MALFORMED, "remote", {"hardware_extra": element(0x82, b"")}),
        (Reason.MALFORMED, "remote", {"software_extra": b"\xbf"}),
        (Reason.MALFORMED, "remote", {"has_application": False, "software_extra": element(0x9E, integer(0))}),
        (Reason.MALFORMED, "remote", application(members=3)),
        (Reason.MALFORMED, "remote", application(package_members=3)),
        (Reason.MALFORMED, "remote", application(package_members=1)),
        (Reason.MALFORMED, "remote", application(package=b"\xff")),
        (Reason.MALFORMED, "remote", {"has_application": False, "software_extra": tagged(709, octets(b""))}),
        (Reason.MALFORMED, "remote", {"extension": b""}),
        (Reason.MALFORMED, "remote", {"extension": sequence([])}),
        (Reason.MALFORMED, "remote", {"extension": sequence(8 * [integer(1)])}),
        (Reason.MALFORMED, "remote", {"extension": description() + b"\0"}),
    ],
    ids=lambda value: None if isinstance(value, Reason) else str(value)[:50],
)
def test_a_chain_with_one_fault_is_refused_for_it(reason, hardware, fault):
    with pytest.raises(Refused) as caught:
        judge(hardware, **fault)
    assert caught.value.code == reason


def test_a_genuine_key_that_signs_a_forged_certificate_proves_nothing():
    key, chain = HARDWARE["remote"].make_key(description(is_locked=False, boot_state=BootState.UNVERIFIED))
    genuine = Authority(key, x509.load_der_x509_certificate(chain[0]))
    forged = genuine.issue(
        name(COMMON_NAME="Android Keystore Key"),
        new_key().public_key(),
        Life(0, YEAR_MS),
        {KEY_DESCRIPTION: description()},
    )
    assert refusal([encoded(forged), *chain]) == Reason.EXTENSION_MISPLACED
    revoked = Listed(genuine.certificate.serial_number)
    assert refusal([encoded(forged), *chain], revocations=revoked) == Reason.EXTENSION_MISPLACED


@pytest.mark.parametrize("fault", [{"challenge": bytes(32)}, {"is_locked": False}, {"packages": []}], ids=str)
def test_a_revoked_key_is_refused_for_that_before_anything_it_says(fault):
    chain = chain_of(**fault)
    revoked = Listed(x509.load_der_x509_certificate(chain[1]).serial_number)
    assert refusal(chain, revocations=revoked) == Reason.REVOKED


def test_a_genuine_key_that_signs_a_certificate_without_a_description_proves_nothing():
    key, chain = HARDWARE["remote"].make_key(description())
    genuine = Authority(key, x509.load_der_x509_certificate(chain[0]))
    other = genuine.issue(name(COMMON_NAME="x"), new_key().public_key(), Life(0, YEAR_MS))
    assert refusal([encoded(other), *chain]) == Reason.EXTENSION_MISPLACED


def below(genuine, *, begins=b"20250101000000Z", subject=None):
    """A certificate that a genuine key signs, of whatever its owner likes."""
    issued = genuine.issue(name(COMMON_NAME="y"), genuine.key.public_key(), Life(0, YEAR_MS))
    tbs, algorithm, _ = der.members_of(der.read_element(encoded(issued)))
    parts = [element(part.identifier, part.content) for part in der.members_of(tbs)]
    parts[4] = sequence([element(0x18, begins), element(0x18, b"99991231235959Z")])
    parts[5] = parts[5] if subject is None else subject
    signature = genuine.key.sign(sequence(parts), ec.ECDSA(hashes.SHA256()))
    return sequence([sequence(parts), element(der.SEQUENCE, algorithm.content), element(0x03, b"\0" + signature)])


def named(value):
    """A name of one part, whatever it is."""
    common_name = element(der.OBJECT_IDENTIFIER, b"\x55\x04\x03")
    return sequence([sequence([sequence([common_name, value])], der.SET)])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({}, Reason.EXTENSION_MISPLACED),
        ({"begins": b"00000101000000Z"}, Reason.MALFORMED),
        ({"subject": sequence([])}, Reason.BROKEN_CHAIN),
        ({"subject": sequence([element(der.SET, b"")])}, Reason.MALFORMED),
        ({"subject": named(integer(5))}, Reason.MALFORMED),
        ({"subject": named(element(0x14, b"\xff"))}, Reason.MALFORMED),
    ],
    ids=["nothing", "year 0", "no name", "an empty part", "a number", "no text"],
)
def test_whatever_a_genuine_key_signs_is_refused_with_a_reason(fault, reason):
    key, chain = HARDWARE["remote"].make_key(description())
    genuine = Authority(key, x509.load_der_x509_certificate(chain[0]))
    above = Authority(key, x509.load_der_x509_certificate(below(genuine)))
    leaf = above.issue(name(COMMON_NAME="x"), key.public_key(), Life(0, YEAR_MS), {KEY_DESCRIPTION: description()})
    assert refusal([encoded(leaf), below(genuine, **fault), *chain]) == reason


def test_an_application_id_of_the_right_form_is_read():
    assert judge(**application()).level == Level.TEE


def test_a_chain_without_a_description_proves_nothing():
    assert refusal(HARDWARE["remote"].make_key(None)[1]) == Reason.EXTENSION_MISPLACED


def test_a_chain_is_whole_and_in_order():
    chain, other = chain_of(), chain_of("factory")
    assert refusal(chain[:-1]) == Reason.UNTRUSTED_ROOT
    assert refusal(chain[-1:]) == Reason.BROKEN_CHAIN
    assert refusal([chain[0], *chain[2:]]) == Reason.BROKEN_CHAIN
    assert refusal([chain[1], chain[0], *chain[2:]]) == Reason.BROKEN_CHAIN
    assert refusal([*chain[:-1], other[-1]]) == Reason.BROKEN_CHAIN


def test_a_root_that_is_there_twice_does_not_make_a_chain_one_of_the_factory():
    """The factory's root has a serial number in its name, as what is below it has."""
    over = Life(NOW_MS - 40 * DAY_MS, NOW_MS - DAY_MS)
    roots = KeyRoots(NOW_MS)
    roots.remote = roots.factory
    _, chain = SecureHardware(roots, NOW_MS, life=over).make_key(description())
    verifier = AndroidKeyAttest({PACKAGE}, {SIGNER}, Listed(), roots=roots.public_keys)
    for sent, reason in ((chain, Reason.CERTIFICATE_NOT_VALID_NOW), ([*chain, chain[-1]], Reason.BROKEN_CHAIN)):
        with pytest.raises(Refused) as caught:
            verifier.attested(sent, CHALLENGE, NOW_MS)
        assert caught.value.code == reason


def test_a_root_of_the_right_name_with_another_key_is_not_trusted():
    subject = ROOTS.remote.certificate.subject
    fake = Authority.root(subject, Life(NOW_MS - YEAR_MS, NOW_MS + YEAR_MS))
    assert refusal([*chain_of()[:-1], encoded(fake.certificate)]) == Reason.UNTRUSTED_ROOT


@pytest.mark.parametrize("place", range(5), ids=["the key", "the device", "CA3", "CA2", "the root"])
def test_a_revoked_certificate_anywhere_in_the_chain_is_refused(place):
    chain = chain_of()
    serial = x509.load_der_x509_certificate(chain[place]).serial_number
    assert refusal(chain, revocations=Listed(serial)) == Reason.REVOKED
    assert verifier(revocations=Listed(serial + 1)).attested(chain, CHALLENGE, NOW_MS)


def test_two_keys_of_one_device_are_two_proofs():
    assert judge().digest != judge().digest

"""What a pin is, which sets are refused, and which updates."""

from __future__ import annotations

import base64
import hashlib

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from msgspec.structs import replace
from tests.unit.sdk.tls_peers import FROM, HOST, UNTIL

from unbroken.sdk import InvalidConfig, Pins, PinUpdateIssue, PinUpdateRefused
from unbroken.sdk.pin_updates import PinUpdate, accept_update, pins_in_force, sign_update, update_key_of
from unbroken.sdk.pins import pin_of, pin_of_certificate


def a_pin(n):
    return pin_of(bytes([n]))


def certificate_of(key, extended=False):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "n" * (60 if extended else 1))])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .sign(key, algorithm)
        .public_bytes(serialization.Encoding.DER)
    )


KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS)
def test_the_pin_of_a_certificate_is_that_of_its_key(make):
    key = make()
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    expected = "sha256/" + base64.b64encode(hashlib.sha256(public).digest()).decode()
    assert pin_of(public) == expected
    assert {pin_of_certificate(certificate_of(key)), pin_of_certificate(certificate_of(key, extended=True))} == {
        expected
    }


def test_a_certificate_that_is_cut_off_has_no_pin():
    whole = certificate_of(KEYS["P-256"]())
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="not a certificate"):
            pin_of_certificate(whole[:size])


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [a_pin(1)],
        [a_pin(1), a_pin(1)],
        a_pin(1),
        [a_pin(1), "sha256/AAAA"],
        [a_pin(1), a_pin(2).removeprefix("sha256/")],
        [a_pin(1), a_pin(2).replace("sha256/", "sha1/")],
        [a_pin(1), a_pin(2)[:-2] + "!="],
        [a_pin(1), b"x" * 51],
    ],
)
def test_a_set_that_is_none_or_has_no_backup_is_refused(keys):
    with pytest.raises(InvalidConfig):
        Pins(keys)


# Updates

NOW_MS = 1_790_000_000_000
SIGNER = ed25519.Ed25519PrivateKey.generate()
BUILT_IN = Pins([a_pin(1), a_pin(2)], number=3, update_key=update_key_of(SIGNER))
UPDATE = PinUpdate(
    number=4, host=HOST, pins=(a_pin(8), a_pin(9)), not_before_ms=NOW_MS - 1000, not_after_ms=NOW_MS + 1000
)


def signed(key=SIGNER, **changed):
    return sign_update(replace(UPDATE, **changed), key)


def issue_of(text, built_in=BUILT_IN, accepted=None, now_ms=NOW_MS):
    with pytest.raises(PinUpdateRefused) as caught:
        accept_update(text, built_in, accepted, HOST, now_ms)
    return caught.value.issue


def test_a_right_update_takes_the_place_of_the_built_in_pins():
    accept_update(signed(), BUILT_IN, None, HOST, NOW_MS)
    pins = pins_in_force(BUILT_IN, signed(), HOST)
    assert pins.keys == {a_pin(8), a_pin(9)}
    assert (pins.number, pins.update_key) == (4, BUILT_IN.update_key)


def test_an_update_gives_no_end_to_pins_that_had_none():
    """Otherwise whoever waits, or sets the device's clock, would need no pinned key any more."""
    after_ms = UPDATE.not_after_ms
    assert pins_in_force(BUILT_IN, signed(), HOST).hold(after_ms)
    expiring = Pins(BUILT_IN.keys, NOW_MS, number=3, update_key=BUILT_IN.update_key)
    pins = pins_in_force(expiring, signed(), HOST)
    assert (pins.hold(after_ms - 1), pins.hold(after_ms)) == (True, False)


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        (signed(ed25519.Ed25519PrivateKey.generate()), PinUpdateIssue.FORGED),
        (signed(number=3), PinUpdateIssue.NOT_NEWER),
        (signed(number=2), PinUpdateIssue.NOT_NEWER),
        (signed(host="elsewhere.example"), PinUpdateIssue.OTHER_HOST),
        (signed(pins=()), PinUpdateIssue.TOO_FEW_PINS),
        (signed(pins=(a_pin(8),)), PinUpdateIssue.TOO_FEW_PINS),
        (signed(pins=(a_pin(8), a_pin(8))), PinUpdateIssue.TOO_FEW_PINS),
        (signed(pins=(a_pin(8), "sha256/x")), PinUpdateIssue.MALFORMED),
        (signed(not_before_ms=NOW_MS + 1), PinUpdateIssue.NOT_YET),
        (signed(not_after_ms=NOW_MS), PinUpdateIssue.EXPIRED),
        ("", PinUpdateIssue.MALFORMED),
        ("unb_pins_", PinUpdateIssue.MALFORMED),
        ("unb_pins_é.é", PinUpdateIssue.MALFORMED),
        (signed().replace(".", ""), PinUpdateIssue.MALFORMED),
        (signed().removeprefix("unb_pins_"), PinUpdateIssue.MALFORMED),
    ],
)
def test_a_wrong_update_is_refused_by_name(text, issue):
    assert issue_of(text) is issue


def test_an_update_that_came_before_is_refused_and_so_is_an_older_one():
    accepted = signed(number=5)
    assert issue_of(accepted, accepted=accepted) is PinUpdateIssue.NOT_NEWER
    assert issue_of(signed(number=4), accepted=accepted) is PinUpdateIssue.NOT_NEWER
    accept_update(signed(number=6), BUILT_IN, accepted, HOST, NOW_MS)


def test_no_character_of_an_update_can_be_changed():
    text = signed()
    for at in range(len(text)):
        other = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert issue_of(other) in {PinUpdateIssue.FORGED, PinUpdateIssue.MALFORMED}, at


def test_a_signature_over_something_else_signs_no_update():
    body = msgspec.json.encode(UPDATE)
    parts = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (body, SIGNER.sign(body))]
    assert issue_of("unb_pins_" + ".".join(parts)) is PinUpdateIssue.FORGED


@pytest.mark.parametrize("built_in", [None, Pins([a_pin(1), a_pin(2)])])
def test_without_a_key_there_are_no_updates(built_in):
    assert issue_of(signed(), built_in=built_in) is PinUpdateIssue.NO_UPDATE_KEY


@pytest.mark.parametrize(
    "built_in",
    [
        Pins(BUILT_IN.keys, number=4, update_key=BUILT_IN.update_key),
        Pins(BUILT_IN.keys, update_key=update_key_of(ed25519.Ed25519PrivateKey.generate())),
        Pins(BUILT_IN.keys),
    ],
    ids=["as new as the update", "with another key", "without a key"],
)
def test_an_app_that_was_updated_meanwhile_knows_better_than_a_kept_update(built_in):
    assert pins_in_force(built_in, signed(), HOST) == built_in


def test_a_kept_update_for_another_host_counts_for_nothing():
    assert pins_in_force(BUILT_IN, signed(), "elsewhere.example") == BUILT_IN


@pytest.mark.parametrize("key", ["", "ed25519/", "ed25519/AAAA", a_pin(1)])
def test_a_key_for_updates_that_is_none_is_refused(key):
    with pytest.raises(InvalidConfig):
        Pins(BUILT_IN.keys, update_key=key)

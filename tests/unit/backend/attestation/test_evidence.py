"""What a device may send, and what is refused before any verifier sees it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from unbroken.backend.attestation import Kind, Reason, Refused, read_evidence
from unbroken.backend.attestation.evidence import AndroidKey, AppAttestation, PlayClassic

KEY_ID = base64.b64encode(bytes(32)).decode()


def test_each_kind_is_read_into_bytes():
    assert read_evidence({"kind": "play_classic", "token": "a.b"}) == PlayClassic("a.b")
    assert read_evidence({"kind": "android_key", "chain": ["AAE=", "Ag=="]}) == AndroidKey((b"\0\1", b"\2"))
    sent = {"kind": "app_attest", "key_id": KEY_ID, "attestation": "AAE=", "unknown": 1}
    assert read_evidence(sent) == AppAttestation(bytes(32), b"\0\1")


def test_there_is_a_form_for_each_kind():
    forms = [
        {"kind": "play_classic", "token": "a"},
        {"kind": "play_standard", "token": "a"},
        {"kind": "app_attest", "key_id": KEY_ID, "attestation": "AAE="},
        {"kind": "app_attest_assertion", "key_id": KEY_ID, "assertion": "AAE="},
        {"kind": "android_key", "chain": ["AAE=", "AAE="]},
    ]
    assert [read_evidence(form).kind for form in forms] == list(Kind)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        "play_classic",
        {},
        {"kind": "safetynet"},
        {"kind": ["play_classic"], "token": "a"},
        {"kind": "play_classic"},
        {"kind": "play_classic", "token": ""},
        {"kind": "play_classic", "token": "a b"},
        {"kind": "play_classic", "token": "a\n"},
        {"kind": "play_classic", "token": "é"},
        {"kind": "play_classic", "token": 1},
        {"kind": "app_attest", "key_id": KEY_ID, "attestation": ""},
        {"kind": "app_attest", "key_id": KEY_ID, "attestation": "A"},
        {"kind": "app_attest", "key_id": KEY_ID, "attestation": "-_-_"},
        {"kind": "app_attest", "key_id": "AAAA", "attestation": "AAAA"},
        {"kind": "app_attest", "key_id": KEY_ID, "attestation": "AAAA" * 6_000},
        {"kind": "android_key", "chain": []},
        {"kind": "android_key", "chain": ["AAAA"]},
        {"kind": "android_key", "chain": ["AAAA"] * 11},
        {"kind": "android_key", "chain": ["AAAA", "AAAA" * 3_000]},
        {"kind": "android_key", "chain": "AAAA"},
    ],
    ids=lambda sent: json.dumps(sent)[:50],
)
def test_anything_else_is_malformed(sent):
    with pytest.raises(Refused) as caught:
        read_evidence(sent)
    assert caught.value.code == Reason.MALFORMED


def test_the_values_load_no_cryptography():
    code = "import sys, unbroken.backend.attestation; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False"]

"""A device that proves itself to a verifier of the tests: what it signs is the binding, and its signature a hash."""

from __future__ import annotations

import base64
import hashlib

from unbroken.backend.attestation import Binding, Kind, Level, Mode, Policy, Proof, Reason, Refused

APP_ID = "ab" * 12


class Verifier:
    """Takes for a signature what `prove` makes."""

    def verify(self, evidence, binding, now_ms):
        if evidence.attestation[:32] != signature(binding):
            raise Refused(Reason.BINDING_MISMATCH)
        return Proof(Level.APP_ATTEST, hashlib.sha256(evidence.attestation[:32]).digest())


def signature(binding):
    return hashlib.sha256(b"signed by the device" + binding.digest).digest()


def prove(challenge, install_id, *, app_id=APP_ID):
    """The member `attestation` of POST /install, for a challenge in base64."""
    binding = Binding(app_id, install_id, b"", base64.b64decode(challenge))
    key_id, signed = base64.b64encode(bytes(32)).decode(), base64.b64encode(signature(binding)).decode()
    return {"kind": "app_attest", "challenge": challenge, "key_id": key_id, "attestation": signed}


def policy(mode=Mode.ENFORCE):
    return Policy(mode, {Kind.APP_ATTEST: Verifier()})

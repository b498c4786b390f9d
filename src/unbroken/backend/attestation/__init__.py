"""Proof that a genuine app on a genuine device asks to be linked: Play Integrity, App Attest, Android Key Attestation.

    policy = Policy(Mode.ENFORCE, {Kind.APP_ATTEST: AppAttest(app_ids=["A1B2C3D4E5.com.example.app"])})
    judgement = policy.judge(read_evidence(body["attestation"]), binding, clock.now_ms())

What is here are the values; the verifiers are in modules beside, which need the extra `backend-attestation`:
`app_attest`, `android_key`, `play`. Every check has one stable reason (`Reason`), and every error is `Refused`.
"""

from __future__ import annotations

from unbroken.backend.attestation.binding import Binding
from unbroken.backend.attestation.evidence import Evidence, Kind, read_evidence
from unbroken.backend.attestation.policy import Judgement, Mode, Policy
from unbroken.backend.attestation.proof import Level, Proof, Verifier
from unbroken.backend.attestation.refused import Reason, Refused

__all__ = [
    "Binding",
    "Evidence",
    "Judgement",
    "Kind",
    "Level",
    "Mode",
    "Policy",
    "Proof",
    "Reason",
    "Refused",
    "Verifier",
    "read_evidence",
]

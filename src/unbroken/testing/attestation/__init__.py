"""The attestation lab: a fake Apple, a fake Google and fake phones, so that `enforce` is tested without either of them.

    lab = AttestationLab()
    endpoint = LinkEndpoint(platform, authenticate, attestation=lab.policy())
    body = {"install_id": install_id, "attestation": lab.android().play_standard(binding)}

The pytest plugin has it as the fixture `attestation_lab`. Everything is made anew for each lab: no key of it is worth
anything elsewhere.
"""

from __future__ import annotations

from unbroken.testing.attestation.lab import AndroidPhone, AttestationLab, Iphone

__all__ = ["AndroidPhone", "AttestationLab", "Iphone"]

"""Android Key Attestation: secure hardware says of a key that it made it, for which app, and on what kind of system.

The rules are Google's (https://developer.android.com/privacy-and-security/security-key-attestation, and the verifier at
https://github.com/android/keyattestation); they are not those of RFC 5280. Chains end at keys known beforehand. When a
certificate ends is ignored for the device's own one, and for chains whose keys were put in at the factory, as those
cannot be renewed; chains that are provisioned remotely must be valid now. Whether an issuer says it may issue is not
asked, as genuine ones say no. The extension stands in the first certificate and in no other: a genuine key may sign a
forged certificate that claims anything.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import NameOID

from unbroken.backend.attestation import certificates
from unbroken.backend.attestation.anchors import GOOGLE_ROOTS
from unbroken.backend.attestation.evidence import AndroidKey
from unbroken.backend.attestation.key_description import (
    BootState,
    KeyDescription,
    RootOfTrust,
    SecurityLevel,
    read_key_description,
)
from unbroken.backend.attestation.proof import Level, Proof
from unbroken.backend.attestation.refused import Reason, Refused
from unbroken.backend.attestation.signed_apps import package_names, signer_digests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from cryptography.x509 import Certificate

    from unbroken.backend.attestation.binding import Binding
    from unbroken.backend.attestation.evidence import Evidence
    from unbroken.backend.attestation.revocation import Revocations

_EXTENSION: Final = ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
_CERTIFICATES_MIN: Final = 3
_GENERATED: Final = 0
_PATCH_LEVEL_MIN: Final = 200_001
_PATCH_LEVEL_MAX: Final = 999_912
_LEVELS: Final = {SecurityLevel.TEE: Level.TEE, SecurityLevel.STRONGBOX: Level.STRONGBOX}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRules:
    """Which devices count.

    Args:
        levels: where key and attestation must be: hardware of either kind by default.
        is_boot_checked: whether the device must have started a system that its maker signed, with a locked boot
            loader. False lets any system count: for test devices.
        boot_keys: SHA-256 of keys (as the device states them) of other systems that count, on a locked device.
        patch_level_min: the oldest security patch of the system, as year and month (202606). None takes any.

    Raises:
        ValueError: the patch level is no year and month, so that every system would count, or none.
    """

    levels: AbstractSet[Level] = frozenset({Level.TEE, Level.STRONGBOX})
    is_boot_checked: bool = True
    boot_keys: AbstractSet[bytes] = field(default_factory=frozenset)
    patch_level_min: int | None = None

    def __post_init__(self) -> None:
        if self.patch_level_min is not None and not _is_month(self.patch_level_min):
            raise ValueError(f"a patch level is a year and a month (202606), not {self.patch_level_min}")


class AndroidKeyAttest:
    """Verifies a chain (`Kind.ANDROID_KEY`).

    Args:
        packages: names of the app's packages.
        signers: SHA-256 of the certificates they are signed with: with Play App Signing that is Google's certificate,
            which the Play Console shows.
        revocations: where the list of revoked keys comes from.
        devices: which devices count.
        roots: the public keys (DER) that chains end at.

    Raises:
        ValueError: a package or a signer that no app would have.
    """

    def __init__(
        self,
        packages: AbstractSet[str],
        signers: AbstractSet[bytes],
        revocations: Revocations,
        *,
        devices: DeviceRules | None = None,
        roots: AbstractSet[bytes] = GOOGLE_ROOTS,
    ) -> None:
        self._packages = package_names(packages)
        self._signers = signer_digests(signers)
        self._revocations = revocations
        self._devices = devices or DeviceRules()
        self._roots = frozenset(roots)

    def verify(self, evidence: Evidence, binding: Binding, now_ms: int) -> Proof:
        """See `Verifier.verify`."""
        assert isinstance(evidence, AndroidKey)
        return self.attested(evidence.chain, binding.digest, now_ms)

    def attested(self, chain: Sequence[bytes], challenge: bytes, now_ms: int) -> Proof:
        """What a chain, leaf first, attests for a challenge.

        Raises:
            Refused: it does not.
        """
        read = [certificates.read_certificate(certificate) for certificate in chain]
        self._require_genuine(read, now_ms)
        described = _described(read)
        serials = [certificate.serial_number for certificate in read]
        self._revocations.current(now_ms).require_valid(serials, now_ms)
        if not hmac.compare_digest(described.challenge, challenge):
            raise Refused(Reason.BINDING_MISMATCH, "the key was made for another challenge")
        level = self._require_hardware(described, read)
        self._require_system(described)
        self._require_app(described)
        digest = hashlib.sha256(read[0].tbs_certificate_bytes).digest()
        return Proof(level, digest, certificates.public_key_of(read[0]), _facts(described))

    def _require_genuine(self, chain: Sequence[Certificate], now_ms: int) -> None:
        root = certificates.public_key_of(chain[-1])
        if root not in self._roots:
            raise Refused(Reason.UNTRUSTED_ROOT, "the chain ends at no root of Google's")
        if len(chain) < _CERTIFICATES_MIN or any(certificates.public_key_of(c) in self._roots for c in chain[:-1]):
            raise Refused(Reason.BROKEN_CHAIN, "the chain is too short, or has a root twice")
        certificates.require_chain(chain, root)
        _require_validity(chain, now_ms)

    def _require_hardware(self, described: KeyDescription, chain: Sequence[Certificate]) -> Level:
        level = _LEVELS.get(described.key_level, Level.SOFTWARE)
        if described.attestation_level != described.key_level or level not in self._devices.levels:
            detail = f"attested in {described.attestation_level.name}, key in {described.key_level.name}"
            raise Refused(Reason.SECURITY_LEVEL, detail)
        if level is Level.STRONGBOX and not any(_is_strongbox(certificate) for certificate in chain[1:-1]):
            raise Refused(Reason.SECURITY_LEVEL, "no certificate of the chain is of a StrongBox")
        if described.origin != _GENERATED:
            raise Refused(Reason.KEY_NOT_GENERATED, f"origin {described.origin}")
        if described.is_of_all_applications:
            raise Refused(Reason.KEY_OF_ALL_APPLICATIONS)
        return level

    def _require_system(self, described: KeyDescription) -> None:
        rules, patch_level = self._devices, described.patch_level
        if rules.is_boot_checked and not _is_boot_trusted(described.root_of_trust, rules.boot_keys):
            raise Refused(Reason.BOOT_NOT_VERIFIED, f"{described.root_of_trust}")
        if rules.patch_level_min is not None and not _is_patched(patch_level, rules.patch_level_min):
            raise Refused(Reason.PATCH_LEVEL_TOO_OLD, f"patched {patch_level}")

    def _require_app(self, described: KeyDescription) -> None:
        app = described.application
        if app is None or not app.packages or not app.packages <= self._packages:
            raise Refused(Reason.WRONG_APP, f"{sorted(app.packages) if app else None}")
        if not app.signers or not app.signers <= self._signers:
            raise Refused(Reason.WRONG_SIGNER, f"{sorted(signer.hex() for signer in app.signers)}")


def _require_validity(chain: Sequence[Certificate], now_ms: int) -> None:
    is_of_factory = bool(chain[-2].subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER))
    for certificate in chain[1:-1]:
        certificates.require_begun(certificate, now_ms)
        if not is_of_factory:
            certificates.require_not_over(certificate, now_ms)


def _described(chain: Sequence[Certificate]) -> KeyDescription:
    first, *others = [certificates.extension_of(certificate, _EXTENSION) for certificate in chain]
    if first is None or any(other is not None for other in others):
        raise Refused(Reason.EXTENSION_MISPLACED, "the key description is not in the first certificate alone")
    return read_key_description(first)


def _is_strongbox(certificate: Certificate) -> bool:
    return "strongbox" in certificate.subject.rfc4514_string().lower()


def _is_boot_trusted(root: RootOfTrust | None, boot_keys: AbstractSet[bytes]) -> bool:
    if root is None or not root.is_locked:
        return False
    is_listed = root.boot_state is BootState.SELF_SIGNED and root.boot_key in boot_keys
    return root.boot_state is BootState.VERIFIED or is_listed


def _is_patched(patch_level: int | None, least: int) -> bool:
    """Whether it is a year and a month, not before the least: a day behind them would be later than every month."""
    return patch_level is not None and _is_month(patch_level) and patch_level >= least


def _is_month(patch_level: int) -> bool:
    return _PATCH_LEVEL_MIN <= patch_level <= _PATCH_LEVEL_MAX and 1 <= patch_level % 100 <= 12


def _facts(described: KeyDescription) -> dict[str, str]:
    root, patch_level = described.root_of_trust, described.patch_level
    facts = {"packages": " ".join(sorted(described.application.packages))} if described.application else {}
    facts |= {} if root is None else {"boot_state": root.boot_state.name.lower(), "is_locked": str(root.is_locked)}
    return facts | ({} if patch_level is None else {"patch_level": str(patch_level)})

"""A fake Google of Android keys: both roots, the two ways keys get into a device, and the list of revoked ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from unbroken.backend.attestation import der
from unbroken.backend.attestation.key_description import BootState, SecurityLevel
from unbroken.testing.attestation.encoding import boolean, integer, octets, sequence, tagged
from unbroken.testing.attestation.issuing import DAY_MS, YEAR_MS, Authority, Life, encoded, name, new_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

KEY_DESCRIPTION: Final = "1.3.6.1.4.1.11129.2.1.17"


class KeyRoots:
    """The factory's root, the root of remote provisioning, and what was revoked.

    Args:
        now_ms: the roots are valid for years around this instant.
    """

    def __init__(self, now_ms: int) -> None:
        life = Life(now_ms - YEAR_MS, now_ms + 10 * YEAR_MS)
        self.factory = Authority.root(name(SERIAL_NUMBER="f92009e853b6b045"), life)
        self.remote = Authority.root(name(COMMON_NAME="Fake Key Attestation CA1"), life)
        self.revoked: dict[str, str] = {}

    @property
    def public_keys(self) -> frozenset[bytes]:
        """What a verifier has as its anchors."""
        return frozenset({self.factory.public_key, self.remote.public_key})

    def revoke(self, certificate: Certificate, status: str = "REVOKED") -> None:
        """Put a certificate on the list."""
        self.revoked[f"{certificate.serial_number:x}"] = status

    def status_list(self) -> bytes:
        """The list as Google serves it."""
        entries = {serial: {"status": status, "reason": "KEY_COMPROMISE"} for serial, status in self.revoked.items()}
        return json.dumps({"entries": entries}).encode()


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the hardware says of a key; each part can be made wrong on its own. None leaves a part out.

    Args:
        challenge: what it is bound to.
        signers: SHA-256 of the certificates that the packages are signed with.
    """

    challenge: bytes
    packages: Sequence[str]
    signers: Sequence[bytes]
    attestation_level: int = SecurityLevel.TEE
    key_level: int = SecurityLevel.TEE
    origin: int | None = 0
    boot_state: int | None = BootState.VERIFIED
    boot_key: bytes = bytes(32)
    is_locked: bool = True
    patch_level: int | None = 202610
    is_of_all_applications: bool = False
    has_application: bool = True
    version: int = 400
    software_extra: bytes = b""
    hardware_extra: bytes = b""

    def encode(self) -> bytes:
        """The value of the extension."""
        return sequence(
            [
                integer(self.version),
                integer(self.attestation_level, der.ENUMERATED),
                integer(self.version),
                integer(self.key_level, der.ENUMERATED),
                octets(self.challenge),
                octets(b""),
                sequence([self._application(), self.software_extra]),
                sequence([*self._by_hardware(), self.hardware_extra]),
            ]
        )

    def _by_hardware(self) -> list[bytes]:
        fields = [tagged(1, sequence([integer(2)], der.SET)), tagged(2, integer(3)), tagged(503, _NOTHING)]
        fields += [tagged(600, _NOTHING)] if self.is_of_all_applications else []
        fields += [] if self.origin is None else [tagged(702, integer(self.origin))]
        fields += [] if self.boot_state is None else [tagged(704, self._root_of_trust(self.boot_state))]
        return fields + ([] if self.patch_level is None else [tagged(706, integer(self.patch_level))])

    def _root_of_trust(self, boot_state: int) -> bytes:
        state = integer(boot_state, der.ENUMERATED)
        return sequence([octets(self.boot_key), boolean(self.is_locked), state, octets(bytes(32))])

    def _application(self) -> bytes:
        if not self.has_application:
            return b""
        packages = [sequence([octets(package.encode()), integer(1)]) for package in self.packages]
        signers = [octets(signer) for signer in self.signers]
        application = sequence([sequence(packages, der.SET), sequence(signers, der.SET)])
        return tagged(709, octets(application))


_NOTHING: Final = bytes([der.NULL, 0])


class SecureHardware:
    """A device's TEE or StrongBox with its batch of certificates.

    Args:
        roots: under which of them.
        is_of_factory: whether its keys were put in when it was made; else they are provisioned remotely.
        is_strongbox: what its certificates say.
        life: of the certificates above the device's own; a month around `now_ms` if left out.
    """

    def __init__(
        self,
        roots: KeyRoots,
        now_ms: int,
        *,
        is_of_factory: bool = False,
        is_strongbox: bool = False,
        life: Life | None = None,
    ) -> None:
        life = life or Life(now_ms - 15 * DAY_MS, now_ms + 15 * DAY_MS)
        kind = "StrongBox" if is_strongbox else "TEE"
        if is_of_factory:
            above = [roots.factory]
            above += [above[-1].authority(name(SERIAL_NUMBER="0a0b", TITLE=kind), life)]
            above += [above[-1].authority(name(SERIAL_NUMBER="0c0d", TITLE=kind), life)]
        else:
            above = [roots.remote]
            above += [above[-1].authority(name(COMMON_NAME="Droid CA2", ORGANIZATION_NAME="Fake"), life)]
            above += [above[-1].authority(name(COMMON_NAME="Droid CA3", ORGANIZATION_NAME="Fake"), life)]
            above += [above[-1].authority(name(ORGANIZATION_NAME=kind, COMMON_NAME="0e0f"), life)]
        self.above = above[::-1]
        """The authorities from the device's own to the root."""

    def make_key(self, extension: bytes | None) -> tuple[ec.EllipticCurvePrivateKey, list[bytes]]:
        """A key, and its chain in DER, leaf first. The leaf says of itself what devices say: valid for ever."""
        key = new_key(ec.SECP256R1())
        extensions = {} if extension is None else {KEY_DESCRIPTION: extension}
        life = Life(0, 78 * YEAR_MS)
        subject = name(COMMON_NAME="Android Keystore Key")
        leaf = self.above[0].issue(subject, key.public_key(), life, extensions)
        return key, [encoded(leaf), *(encoded(authority.certificate) for authority in self.above)]

"""One app, the authorities that vouch for it, and phones that have it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from unbroken.backend.attestation.android_key import AndroidKeyAttest
from unbroken.backend.attestation.app_attest import AppAssert, AppAttest
from unbroken.backend.attestation.counters import MemoryCounters
from unbroken.backend.attestation.evidence import Kind
from unbroken.backend.attestation.google import GoogleDecoder, ServiceAccount
from unbroken.backend.attestation.jose import to_base64url
from unbroken.backend.attestation.key_description import BootState, SecurityLevel
from unbroken.backend.attestation.play import Classic, PlayRules, Standard
from unbroken.backend.attestation.policy import Mode, Policy
from unbroken.backend.attestation.revocation import FetchedRevocations
from unbroken.clock import SystemClock
from unbroken.testing.attestation.android import Description, KeyRoots, SecureHardware
from unbroken.testing.attestation.apple import AppAttestKey, Apple, Claims
from unbroken.testing.attestation.play import Play, verdict
from unbroken.testing.attestation.server import STATUS_PATH, TOKEN_PATH, GoogleServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from unbroken.backend.attestation.binding import Binding
    from unbroken.backend.attestation.proof import Verifier
    from unbroken.clock import Clock

PACKAGE: Final = "com.example.app"
APPLE_APP_ID: Final = f"A1B2C3D4E5.{PACKAGE}"
SIGNER: Final = hashlib.sha256(b"the certificate that the app is signed with").digest()
FOREIGN_SIGNER: Final = hashlib.sha256(b"a certificate of somebody else").digest()


class AttestationLab:
    """Fake authorities on this machine, and what verifies them. Close it, or use it as a context manager.

    Args:
        clock: what the phones and certificates go by: the one that your server judges with.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        now_ms = self.clock.now_ms()
        self.apple = Apple(now_ms)
        self.roots = KeyRoots(now_ms)
        self.play = Play()
        self.counters = MemoryCounters()
        self.google = GoogleServer(self.play, self.roots)
        self._decoder = GoogleDecoder(PACKAGE, self._account(), url=self.google.url)

    def policy(self, mode: Mode = Mode.ENFORCE, *, is_lenient_in_outage: bool = False) -> Policy:
        """A policy as your server has it, with these authorities in place of the real ones."""
        return Policy(mode, self.verifiers(), is_lenient_in_outage=is_lenient_in_outage)

    def verifiers(self) -> Mapping[Kind, Verifier]:
        """A verifier for each kind of evidence."""
        rules = PlayRules(packages={PACKAGE}, signers={SIGNER})
        revocations = FetchedRevocations(f"{self.google.url}{STATUS_PATH}")
        return {
            Kind.APP_ATTEST: AppAttest([APPLE_APP_ID], counters=self.counters, root=self.apple.root.public_key),
            Kind.APP_ATTEST_ASSERTION: AppAssert([APPLE_APP_ID], self.counters),
            Kind.ANDROID_KEY: AndroidKeyAttest({PACKAGE}, {SIGNER}, revocations, roots=self.roots.public_keys),
            Kind.PLAY_CLASSIC: Classic(rules, self.play.keys),
            Kind.PLAY_STANDARD: Standard(rules, self._decoder),
        }

    def iphone(self, *, app_id: str = APPLE_APP_ID) -> Iphone:
        """An iPhone with the app, or with another one."""
        return Iphone(self, app_id)

    def android(self, *, is_rooted: bool = False, is_repackaged: bool = False) -> AndroidPhone:
        """An Android phone with the app.

        Args:
            is_rooted: its boot loader is open, and another system runs.
            is_repackaged: somebody changed the app and signed it anew.
        """
        return AndroidPhone(self, is_rooted=is_rooted, is_repackaged=is_repackaged)

    def close(self) -> None:
        """Stop the servers."""
        self._decoder.close()
        self.google.close()

    def __enter__(self) -> AttestationLab:  # noqa: PYI034 - it is not subclassed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _account(self) -> ServiceAccount:
        return ServiceAccount("lab@example.iam.gserviceaccount.com", _account_key(), f"{self.google.url}{TOKEN_PATH}")


class Iphone:
    """An iPhone: what its app gets from `DCAppAttestService`, as the JSON that it sends."""

    def __init__(self, lab: AttestationLab, app_id: str) -> None:
        self._lab = lab
        self._app_id = app_id
        self._key = AppAttestKey(lab.apple)

    def app_attest(self, binding: Binding) -> dict[str, Any]:
        """The attestation of its key."""
        claims = Claims(app_id=self._app_id, client_data_hash=binding.digest)
        attestation = self._key.attest(claims, self._lab.clock.now_ms())
        return {"kind": "app_attest", "key_id": _base64(self._key.key_id), "attestation": _base64(attestation)}

    def app_attest_assertion(self, binding: Binding) -> dict[str, Any]:
        """An assertion by its key, which `app_attest` must have attested before."""
        assertion = self._key.sign(self._app_id, binding.digest)
        return {"kind": "app_attest_assertion", "key_id": _base64(self._key.key_id), "assertion": _base64(assertion)}


class AndroidPhone:
    """An Android phone: what its app gets from the key store and from Google Play, as the JSON that it sends."""

    def __init__(self, lab: AttestationLab, *, is_rooted: bool, is_repackaged: bool) -> None:
        self._lab = lab
        self._is_rooted = is_rooted
        self._signer = FOREIGN_SIGNER if is_repackaged else SIGNER

    def android_key(self, binding: Binding, *, is_strongbox: bool = False) -> dict[str, Any]:
        """The chain of a key made in its TEE or StrongBox."""
        level = SecurityLevel.STRONGBOX if is_strongbox else SecurityLevel.TEE
        description = Description(
            challenge=binding.digest,
            packages=[PACKAGE],
            signers=[self._signer],
            attestation_level=level,
            key_level=level,
            boot_state=BootState.UNVERIFIED if self._is_rooted else BootState.VERIFIED,
            is_locked=not self._is_rooted,
        )
        hardware = SecureHardware(self._lab.roots, self._lab.clock.now_ms(), is_strongbox=is_strongbox)
        _, chain = hardware.make_key(description.encode())
        return {"kind": "android_key", "chain": [_base64(certificate) for certificate in chain]}

    def play_classic(self, binding: Binding) -> dict[str, Any]:
        """The token of a classic request to Play Integrity."""
        token = self._lab.play.classic_token(self._verdict({"nonce": to_base64url(binding.digest)}))
        return {"kind": "play_classic", "token": token}

    def play_standard(self, binding: Binding) -> dict[str, Any]:
        """The token of a standard request to Play Integrity."""
        token = self._lab.play.standard_token(self._verdict({"requestHash": to_base64url(binding.digest)}))
        return {"kind": "play_standard", "token": token}

    def _verdict(self, bound_to: Mapping[str, str]) -> dict[str, Any]:
        said = verdict(PACKAGE, self._signer, bound_to, self._lab.clock.now_ms())
        if self._is_rooted:
            said["deviceIntegrity"] = {"deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY"]}
        if self._signer != SIGNER:
            said["appIntegrity"]["appRecognitionVerdict"] = "UNRECOGNIZED_VERSION"
        return said


@cache
def _account_key() -> str:
    """Of the fake service account; one for the process, as RSA keys take long to make."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

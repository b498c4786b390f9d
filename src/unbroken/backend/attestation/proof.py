"""What a verified proof says, and what verifies one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.backend.attestation.binding import Binding
    from unbroken.backend.attestation.evidence import Evidence


class Level(StrEnum):
    """How much was proven, as it is kept with the install. Levels of different platforms have no order."""

    NONE = "none"
    SOFTWARE = "software"
    TEE = "tee"
    STRONGBOX = "strongbox"
    APP_ATTEST = "app_attest"
    PLAY_BASIC = "play_basic"
    PLAY_DEVICE = "play_device"
    PLAY_STRONG = "play_strong"


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was verified.

    Args:
        level: what it proves.
        digest: SHA-256 of the part that is signed, so that another form of the same proof has the same digest. Kept
            unique, it shows a proof that is used twice.
        key: the attested public key (DER, SubjectPublicKeyInfo), or empty. The kit does nothing with it: no later
            call of the install is signed with it.
        facts: what else was read, for the record: patch level, boot state, key id, counter, labels.
    """

    level: Level
    digest: bytes
    key: bytes = field(default=b"", repr=False)
    facts: Mapping[str, str] = field(default_factory=dict)


class Verifier(Protocol):
    """Judges one kind of evidence. It may block, where it has to ask somebody: Google, or a database."""

    def verify(self, evidence: Evidence, binding: Binding, now_ms: int) -> Proof:
        """What `evidence` proves for `binding` at this instant.

        Raises:
            Refused: nothing, and why.
        """
        ...

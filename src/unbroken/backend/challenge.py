"""Challenges that carry their own proof: no process of the kit keeps any, and each of them knows those of the others.

A challenge is 32 bytes: 12 of chance, 4 for the second it ends at, 16 of a keyed hash over both and over what the
challenge is for. So nobody guesses one, and one that was given to somebody else, or is too old, is known as such. That
it is answered once only is the platform's to see (`used_proofs`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from unbroken.backend.attestation import Reason, Refused

LIFE_S: Final = 120
CHANCE_BYTES: Final = 12
KEY_MIN_BYTES: Final = 32
_END_BYTES: Final = 4
_SEAL_BYTES: Final = 16
_PURPOSE: Final = b"unbroken challenge: link"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks to be linked.

    Args:
        account: whoever is signed in; known to this server alone, so no device can say otherwise.
    """

    app_id: str
    install_id: str
    account: str = field(repr=False)


def make_challenge(key: bytes, asker: Asker, now_ms: int, chance: bytes) -> bytes:
    """A challenge for this asker, good for `LIFE_S`.

    Args:
        chance: `CHANCE_BYTES` that nobody can guess.
    """
    end = (now_ms // 1000 + LIFE_S).to_bytes(_END_BYTES, "big")
    return chance + end + _seal(key, asker, chance + end)


def check_challenge(key: bytes, asker: Asker, challenge: bytes, now_ms: int) -> None:
    """Let a challenge pass that was made for this asker and has not ended.

    Raises:
        Refused: `binding_mismatch` where it was not made for this app, install and account; `too_old`.
    """
    said, seal = challenge[:-_SEAL_BYTES], challenge[-_SEAL_BYTES:]
    if len(said) != CHANCE_BYTES + _END_BYTES or not hmac.compare_digest(seal, _seal(key, asker, said)):
        raise Refused(Reason.BINDING_MISMATCH, "the challenge was not made for this app, install and account")
    if now_ms // 1000 >= int.from_bytes(said[CHANCE_BYTES:], "big"):
        raise Refused(Reason.TOO_OLD, "the challenge has ended")


def _seal(key: bytes, asker: Asker, said: bytes) -> bytes:
    parts = (_PURPOSE, asker.app_id.encode(), asker.install_id.encode(), asker.account.encode("utf-8", "surrogatepass"))
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in (*parts, said))
    return hmac.digest(key, framed, "sha256")[:_SEAL_BYTES]

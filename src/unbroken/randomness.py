"""The only module that asks for chance: new ids, secrets, jitter. Everything else takes a `Randomness`."""

from __future__ import annotations

import hashlib
import random
import secrets
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Randomness(Protocol):
    """What makes new ids and secrets."""

    def id(self, kind: str, now_ms: int) -> bytes:
        """A new id of 12 bytes: 4 for the second of creation, 8 that cannot be guessed (http-api.md, conventions).

        `kind` ("install", "user", "fact", ...) keeps the sequences of a seeded source apart.
        """
        ...

    def secret(self, size_bytes: int) -> bytes:
        """Bytes for a credential; never reproducible, not even in a seeded source."""
        ...

    def uuid(self, now_ms: int) -> str:
        """A time-ordered UUID (version 7) in its usual form."""
        ...

    def fraction(self) -> float:
        """A number in [0, 1), for jitter."""
        ...

    def ahead(self) -> Randomness:
        """The same, of which what is asked uses up no id of this one."""
        ...


class SystemRandomness:
    """Chance from the operating system."""

    def id(self, kind: str, now_ms: int) -> bytes:  # noqa: ARG002 - the kind only matters to a seeded source
        """See `Randomness.id`."""
        return (now_ms // 1000 % 2**32).to_bytes(4, "big") + secrets.token_bytes(8)

    def secret(self, size_bytes: int) -> bytes:
        """See `Randomness.secret`."""
        return secrets.token_bytes(size_bytes)

    def uuid(self, now_ms: int) -> str:
        """See `Randomness.uuid`."""
        return uuid7(now_ms, secrets.token_bytes(10))

    def fraction(self) -> float:
        """See `Randomness.fraction`."""
        return random.random()

    def ahead(self) -> SystemRandomness:
        """See `Randomness.ahead`; chance is not used up."""
        return self


class SeededRandomness:
    """Ids that are the same in every run: the n-th install, user or fact of a seed has one id (http-api.md, lab mode).

    Args:
        seed: names the run.
        already: how many ids of each kind were given out before, so that a lab that is restarted goes on.
    """

    def __init__(self, seed: int, already: Mapping[str, int] | None = None) -> None:
        self._seed = seed
        self._count = Counter(already or {})
        self._random = random.Random(seed)

    def id(self, kind: str, now_ms: int) -> bytes:  # noqa: ARG002 - time must not matter here
        """See `Randomness.id`; the first 4 bytes count instead of telling the second."""
        self._count[kind] += 1
        n = self._count[kind]
        return n.to_bytes(4, "big") + hashlib.sha256(f"{self._seed}:{kind}:{n}".encode()).digest()[:8]

    def secret(self, size_bytes: int) -> bytes:
        """See `Randomness.secret`."""
        return secrets.token_bytes(size_bytes)

    def uuid(self, now_ms: int) -> str:
        """See `Randomness.uuid`."""
        return uuid7(now_ms, self._random.randbytes(10))

    def fraction(self) -> float:
        """See `Randomness.fraction`."""
        return self._random.random()

    def ahead(self) -> SeededRandomness:
        """See `Randomness.ahead`; its ids are those that this one gives out next."""
        return SeededRandomness(self._seed, self._count)


def uuid7(now_ms: int, chance: bytes) -> str:
    """RFC 9562, version 7: 48 bits of time, then 74 of `chance` (10 bytes), so that keys made from it index well."""
    value = int.from_bytes((now_ms % 2**48).to_bytes(6, "big") + chance, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))

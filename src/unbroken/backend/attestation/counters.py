"""The keys that App Attest attested, each with the counter of its last assertion."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AttestedKey:
    """What was attested of a key: its later assertions count for no more.

    Args:
        public_key: in DER.
        app_id: team id, dot, bundle id of the app that made it.
        is_production: false for a build that runs from Xcode.
    """

    public_key: bytes = field(repr=False)
    app_id: str
    is_production: bool


class Counters(Protocol):
    """Where a customer's server keeps attested keys. Called on threads; every process must see the same rows.

    As SQL, with `key_id` unique:

        keep      INSERT INTO attested_keys (key_id, install_id, public_key, app_id, is_production, counter)
                  VALUES (:k, :i, :p, :a, :e, 0) ON CONFLICT (key_id) DO NOTHING
        find      SELECT public_key, app_id, is_production FROM attested_keys WHERE key_id = :k AND install_id = :i
        advance   UPDATE attested_keys SET counter = :c WHERE key_id = :k AND counter < :c
    """

    def keep(self, key_id: bytes, install_id: str, key: AttestedKey) -> None:
        """Remember a key that was attested for an install; what is there already stays."""
        ...

    def find(self, key_id: bytes, install_id: str) -> AttestedKey | None:
        """The key with that id, if it was attested for that install."""
        ...

    def advance(self, key_id: bytes, counter: int) -> bool:
        """Move the counter forward, in one statement; False if it was there already, so that one of two racers wins."""
        ...


@dataclass(slots=True)
class _Kept:
    install_id: str
    key: AttestedKey
    counter: int = 0


class MemoryCounters:
    """Counters of one process that are gone when it ends: for tests."""

    def __init__(self) -> None:
        self._kept: dict[bytes, _Kept] = {}
        self._lock = Lock()

    def keep(self, key_id: bytes, install_id: str, key: AttestedKey) -> None:
        """See `Counters`."""
        with self._lock:
            self._kept.setdefault(key_id, _Kept(install_id, key))

    def find(self, key_id: bytes, install_id: str) -> AttestedKey | None:
        """See `Counters`."""
        kept = self._kept.get(key_id)
        return kept.key if kept is not None and kept.install_id == install_id else None

    def advance(self, key_id: bytes, counter: int) -> bool:
        """See `Counters`."""
        with self._lock:
            kept = self._kept[key_id]
            if kept.counter >= counter:
                return False
            kept.counter = counter
            return True

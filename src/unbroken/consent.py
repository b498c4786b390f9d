"""Consent: how a host proves that whoever holds its keys agrees to be attacked (decision 0027).

The operator's command makes a *stamp*: two throw-away apps and an instant, marked with a key that only `keys.json`
gives. The attacker gets a *warrant*: the stamp, a key that belongs to it, and credentials of the two apps. Before
anything else it sends the stamp and a challenge; only a host with the same `keys.json` can answer with the proof.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from unbroken import wire

if TYPE_CHECKING:
    from unbroken.credentials import Vault

PATH: Final = "/.well-known/unbroken-attack"
CHALLENGE_CHARACTERS: Final = 64
_STAMP: Final = re.compile(r"([0-9a-f]{24})\.([0-9a-f]{24})\.([0-9]{1,15})\.([0-9a-f]{64})")
_CHALLENGE: Final = re.compile(r"[0-9a-f]{64}")


class Stamp(NamedTuple):
    """What a host agreed to: attacks on two apps of it, until an instant (epoch ms)."""

    app_a: bytes
    app_b: bytes
    until_ms: int

    @property
    def content(self) -> str:
        """What is marked."""
        return f"{self.app_a.hex()}.{self.app_b.hex()}.{self.until_ms}"


class Pass(msgspec.Struct, frozen=True):
    """The credentials of one throw-away app, good and spent.

    Args:
        keys: by what they may do: `all`, each scope alone, `revoked`, `expired`; `exposed` is as `all`, and shown where
            others can read it, so that a platform may revoke it.
        expired: by kind, those that end by themselves: `user token`, `link ticket`, `authentication code`.
        expired_install_id: whose the expired token and ticket are.
    """

    app_id: str
    app_secret: str
    keys: dict[str, str]
    expired: dict[str, str]
    expired_install_id: str

    def __repr__(self) -> str:
        return f"Pass({self.app_id})"


class Warrant(msgspec.Struct, frozen=True):
    """What an attacker is armed with.

    Args:
        key: proves the host's answer; never sent.
        until: when it ends, ISO 8601.
        a: the attacking app.
        b: the attacked one.
    """

    stamp: str
    key: bytes
    until: str
    a: Pass
    b: Pass

    def __repr__(self) -> str:
        return f"Warrant(until {self.until})"


def write_stamp(vault: Vault, stamp: Stamp) -> str:
    """The text of a stamp, with its mark."""
    return f"{stamp.content}.{_mark(vault, stamp)}"


def read_stamp(text: str) -> tuple[Stamp, str] | None:
    """A stamp and the mark it bears, or None where `text` is none. Whether the mark is right, `is_ours` says."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return None
    return Stamp(bytes.fromhex(found[1]), bytes.fromhex(found[2]), int(found[3])), found[4]


def is_ours(vault: Vault, stamp: Stamp, mark: str) -> bool:
    """Whether this platform made the stamp."""
    return hmac.compare_digest(mark, _mark(vault, stamp))


def key_of(vault: Vault, stamp: Stamp) -> bytes:
    """What the holder of the stamp checks proofs with (32 bytes)."""
    return vault.derived(b"attack key", stamp.content.encode())


def is_challenge(text: str) -> bool:
    """Whether a text has the form of a challenge: 32 bytes in hex."""
    return _CHALLENGE.fullmatch(text) is not None


def proof(key: bytes, challenge: str) -> str:
    """What a host with the key answers to a challenge."""
    return hmac.digest(key, challenge.encode(), hashlib.sha256).hex()


def read_warrant(content: bytes) -> Warrant | None:
    """The warrant in a file, or None where it holds none."""
    try:
        return wire.decode(content, Warrant)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _mark(vault: Vault, stamp: Stamp) -> str:
    return vault.derived(b"attack stamp", stamp.content.encode()).hex()

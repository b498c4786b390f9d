"""What protects the state at rest: AES-256-GCM under a key that lies elsewhere, or nothing but the file's mode, openly.

A key beside its file would only look like a protection; so without a place for a key there is none. What a keyring adds
stands in `keyrings.py`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from enum import Enum
from pathlib import Path
from typing import Final, Protocol, Self

from unbroken.randomness import Randomness, SystemRandomness
from unbroken.sdk.errors import InvalidConfig, StateDamaged, StateLocked

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NAME_BYTES: Final = 8
_SEALED: Final = b"unb-sealed-1"


class SealLevel(Enum):
    """What protects the state at rest, beyond the file's mode 0600."""

    KEYRING = "keyring"
    KEY = "key"
    SOFTWARE = "software"


class Seal(Protocol):
    """Protects the state at rest. `context` is authenticated too, so that one file cannot stand for another."""

    level: SealLevel = SealLevel.KEY

    def close(self, plain: bytes, context: bytes) -> bytes:
        """The bytes that go to disk; raises `StateLocked` where the key is not to be had."""
        ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The bytes that were sealed; raises `StateDamaged` where they are not what was sealed.

        What is not sealed at all may be given back as it is, once: it is then sealed at once.
        """
        ...

    def settle(self) -> None:
        """What was sealed last is durable now: from here on nothing that is not sealed is to be opened."""
        return


class Unsealed(Seal):
    """No protection beyond the file's mode 0600."""

    level = SealLevel.SOFTWARE

    def close(self, plain: bytes, context: bytes) -> bytes:  # noqa: ARG002 - the shape of a Seal
        """See `Seal.close`."""
        return plain

    def open(self, sealed: bytes, context: bytes) -> bytes:  # noqa: ARG002 - the shape of a Seal
        """See `Seal.open`."""
        if is_sealed(sealed):
            raise StateLocked("the state is sealed, and this storage has no key")
        return sealed


class KeySeal(Seal):
    """Sealed under a key that something else on the machine keeps: systemd credentials, a TPM, a secret mount.

    Args:
        key: 32 bytes.
        adopts_unsealed: open a state that is not sealed yet, and seal it. For the first start with a key on a device
            that had none: while it is set, whoever can write the file can put one of his own there.
        randomness: makes nonces.

    Raises:
        InvalidConfig: the key has another size, or cryptography is not installed.
    """

    level = SealLevel.KEY

    def __init__(self, key: bytes, *, adopts_unsealed: bool = False, randomness: Randomness | None = None) -> None:
        if len(key) != KEY_BYTES:
            raise InvalidConfig(f"a key that seals has {KEY_BYTES} bytes, this one {len(key)}")
        require_cryptography()
        self._key = key
        self._adopts_unsealed = adopts_unsealed
        self._randomness = randomness or SystemRandomness()

    @classmethod
    def of_file(cls, path: Path | str, *, adopts_unsealed: bool = False) -> Self:
        """Under the 32 bytes of a file, such as `$CREDENTIALS_DIRECTORY/...` of a systemd unit.

        Raises:
            InvalidConfig: it is not there, has another size, or others than its owner may read it.
        """
        try:
            with Path(path).open("rb") as file:
                open_to = others_may(os.fstat(file.fileno()), 0o027)  # systemd: 0440, and an ACL for the service
                key = file.read(KEY_BYTES + 1)
        except OSError as error:
            raise InvalidConfig(f"the key that seals the state cannot be read: {error}") from None
        if open_to:
            raise InvalidConfig(f"others than its owner may read {path}: {open_to}; chmod 400")
        return cls(key, adopts_unsealed=adopts_unsealed)

    def close(self, plain: bytes, context: bytes) -> bytes:
        """See `Seal.close`."""
        return sealed_under(self._key, plain, context, self._randomness)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """See `Seal.open`."""
        if is_sealed(sealed):
            return opened_with(self._key, sealed, context)
        if self._adopts_unsealed:
            return sealed
        raise StateDamaged("the state is not sealed though this storage has a key; adopts_unsealed=True would seal it")


def is_sealed(content: bytes) -> bool:
    """Whether these bytes were sealed here, under whatever key. JSON begins otherwise."""
    return content.startswith(_SEALED)


def sealed_under(key: bytes, plain: bytes, context: bytes, randomness: Randomness) -> bytes:
    """A marker, the name of the key, a nonce, and the AES-256-GCM of `plain`; all of it authenticated."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    head, nonce = _SEALED + _name_of(key), randomness.secret(_NONCE_BYTES)
    return head + nonce + AESGCM(key).encrypt(nonce, plain, head + context)


def opened_with(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """What was sealed.

    Raises:
        StateLocked: it was sealed under another key.
        StateDamaged: it is not what was sealed, or not in this place.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    at = len(_SEALED) + _NAME_BYTES
    head, nonce, body = sealed[:at], sealed[at : at + _NONCE_BYTES], sealed[at + _NONCE_BYTES :]
    if head != _SEALED + _name_of(key):
        raise StateLocked("the state is sealed under another key")
    try:
        return AESGCM(key).decrypt(nonce, body, head + context)
    except (InvalidTag, ValueError):
        raise StateDamaged("the sealed state on disk is not what was sealed") from None


def require_cryptography() -> None:
    """Refuse what needs it.

    Raises:
        InvalidConfig: it is not installed.
    """
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise InvalidConfig("this needs cryptography: pip install unbroken[sdk-sealed]") from None


def others_may(status: os.stat_result, forbidden: int = 0o077) -> str | None:
    """What is wrong with a file that its owner alone is to read, in words; None where nothing is.

    Args:
        status: of the file.
        forbidden: bits of its mode.
    """
    if os.name == "nt":
        return None
    if status.st_uid not in {os.geteuid(), 0}:
        return f"it belongs to user {status.st_uid}"
    mode = stat.S_IMODE(status.st_mode)
    return f"its mode is {mode:04o}" if mode & forbidden else None


def _name_of(key: bytes) -> bytes:
    return hashlib.sha256(b"unbroken state key\n" + key).digest()[:_NAME_BYTES]

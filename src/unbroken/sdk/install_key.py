"""The install key on the device: a new pair of keys for each install, or one that the app's own hardware keeps.

A key of the SDK's own lies in the state, and is as safe as that is (`status.seal`). One of the app's never leaves where
the app keeps it: whoever copies the state, keyring and all, has half of what a renewal takes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from unbroken.sdk.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from unbroken.randomness import Randomness

_SEED_BYTES = 32


class InstallKey(Protocol):
    """Signs for one install. Both calls are made between two steps of the SDK, in its thread or its event loop."""

    def public_key(self) -> bytes:
        """Ed25519 or P-256, SubjectPublicKeyInfo in DER. Asked at each registration; a new install may have another."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature: of P-256 with SHA-256, in DER.

        Of a key that is gone for ever, empty: the platform refuses that, and this device becomes a new install.
        """
        ...


class OwnKey(InstallKey):
    """Ed25519, from 32 bytes that lie in the state.

    Args:
        seed: in base64.
    """

    def __init__(self, seed: Secret) -> None:
        self._seed = seed

    def public_key(self) -> bytes:
        """See `InstallKey.public_key`."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - an extra

        return self._private().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        """See `InstallKey.sign`."""
        return self._private().sign(message)

    def _private(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - an extra

        return Ed25519PrivateKey.from_private_bytes(b64decode(self._seed.reveal()))


def new_seed(randomness: Randomness) -> Secret | None:
    """What an `OwnKey` is made of; None where cryptography is not installed: such an install has no key."""
    if find_spec("cryptography") is None:
        return None
    return Secret(b64encode(randomness.secret(_SEED_BYTES)).decode())


def key_of(seed: Secret | None, app_key: InstallKey | None) -> InstallKey | None:
    """What signs for an install: the key in its state, or else the app's, if there is any."""
    return app_key if seed is None else OwnKey(seed)

"""The idempotency key of a registration: a secret of one device, by which its install is found as long as it lives.

It must be a random UUID. One of version 7 begins with the millisecond in which it was made. So does what it is kept as:
keys that come one after the other lie one after the other, and a registration writes to the last pages of an index that
are in memory anyway, however many installs there are (decision 0035).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from unbroken.credentials import Digest
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from unbroken.credentials import Vault

_TIME_BYTES: Final = 6
_VERSIONS: Final = {4, 7}


def digest_of(vault: Vault, key: str) -> Digest:
    """What the key is kept as from now on, and what it may be kept as yet.

    Raises:
        InvalidRequest: it is not a random UUID.
    """
    version, made_at = _read(key)
    digest = vault.digest(key)
    if version != 7:
        return digest
    ordered = Digest(made_at + digest)
    ordered.earlier = (*(made_at + one for one in digest.earlier), *digest.every)  # the last ones: without its time
    return ordered


def _read(key: str) -> tuple[int, bytes]:
    """The version, and the first bytes, which are the time where it is 7."""
    try:
        read = uuid.UUID(key)
    except ValueError:
        read = None
    if read is None or str(read) != key.lower() or read.version not in _VERSIONS:
        message = "The key of a registration is a secret of the device and must be a random UUID."
        raise InvalidRequest.at("Idempotency-Key", message)
    return read.version, read.bytes[:_TIME_BYTES]

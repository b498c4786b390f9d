"""The install key: the pair of keys that an install registered with. Its private half never leaves the device.

Each spending of the install's credential is signed with it (http-api.md, `Install-Key-Proof`). So whoever reads a
credential on its way, in a log or in a backup, cannot go on as that install. Here is what both sides must agree on.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode
from typing import Final

PROOF_HEADER: Final = "Install-Key-Proof"


def message_of(call: str, credential: str) -> bytes:
    """What is signed to spend a credential in this call, and in no other: three lines.

    Args:
        call: as in `POST /sdk/tokens`.
    """
    return "\n".join(("unb-install-key/1", call, hashlib.sha256(credential.encode()).hexdigest())).encode()


def write(content: bytes) -> str:
    """A public key or a signature as it travels: base64url without padding."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def read(text: str) -> bytes:
    """What `write` wrote; empty where this is no such text, or not the one text there is for its bytes."""
    try:
        content = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
    return content if write(content) == text else b""

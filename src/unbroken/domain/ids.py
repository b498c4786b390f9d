"""Ids, one type each, so that mixing two up is a type error: this domain's classic bug.

Inside the platform an id is 12 bytes; at the edges it is written as 24 lowercase hex characters
(http-api.md, conventions). Making new ids is not done here: that needs the clock and chance.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from collections.abc import Collection

AppId = NewType("AppId", bytes)
InstallId = NewType("InstallId", bytes)
UserId = NewType("UserId", bytes)
FactId = NewType("FactId", bytes)
"""The id of a ledger fact; the id of a link is the id of its `linked` fact."""

KeyId = NewType("KeyId", bytes)
"""The id of an API key."""

ExternalId = NewType("ExternalId", str)
"""The customer's own identifier of a person, in NFC."""

ID_BYTES: Final = 12
_HEX: Final = re.compile(r"[0-9a-f]{24}")


def parse_id(text: str) -> bytes | None:
    """The 12 bytes of an id as written at the edge, or None where `text` is no such thing."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else None


PLACEHOLDERS: Final = ("null", "undefined", "none", "anonymous", "guest", "unknown", "0", "-1", "[object object]")
"""What broken apps send in place of an account (linking.md, row 1), as long as an app names no others."""

EXTERNAL_ID_MAX_CHARACTERS: Final = 255
_ONLY_ZEROS_AND_HYPHENS: Final = re.compile(r"[0-]+")
_NEVER_IN_A_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode's categories Cc and Cs


def parse_external_id(text: str, placeholders: Collection[str]) -> ExternalId | None:
    """The external id as it is stored and compared, or None where row 1 of linking.md refuses it.

    Args:
        placeholders: in lower case; nothing but zeros and hyphens is always one.
    """
    normal = unicodedata.normalize("NFC", text)
    if not 1 <= len(normal) <= EXTERNAL_ID_MAX_CHARACTERS or not normal.strip():
        return None
    if _NEVER_IN_A_TEXT.search(normal) or normal.lower() in placeholders or _ONLY_ZEROS_AND_HYPHENS.fullmatch(normal):
        return None
    return ExternalId(normal)

"""Pages: lists of ours come in pages; a cursor says where the next one begins, and means nothing to the caller."""

from __future__ import annotations

import base64
import json
from typing import Any

from unbroken.domain.errors import InvalidRequest


def write_cursor(*after: int | str) -> str:
    """A cursor that stands behind an entry with this sort key."""
    return base64.urlsafe_b64encode(json.dumps(after, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_cursor(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The sort key in a cursor; None where there is no cursor.

    Args:
        kinds: the types of the key's parts.

    Raises:
        InvalidRequest: not a cursor that `write_cursor` made.
    """
    if cursor is None:
        return None
    try:
        after = json.loads(base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True))
    except ValueError:
        after = None
    is_one = isinstance(after, list) and [type(part) for part in after] == list(kinds)
    if not is_one or any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in after):
        raise InvalidRequest.at("cursor", "The cursor is not one of this list.")
    return tuple(after)

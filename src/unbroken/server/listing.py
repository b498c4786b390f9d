"""What the lists of ours have in common: how much of one is asked for, and as of when (http-api.md, conventions)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.server.route import Query

if TYPE_CHECKING:
    from unbroken.server.route import Call

LIST: Final = (
    Query("limit", "integer", required=False, summary="At most this many.", maximum=wire.PAGE_MAX),
    Query("cursor", "text", required=False, summary="Where the page before ended: its `next_cursor`."),
)
AS_OF: Final = Query("as_of", "instant", required=False, summary="What was believed at this instant; now if left out.")


def page_of(call: Call) -> tuple[int, str | None]:
    """How many entries are asked for, and the cursor of where they begin."""
    return call.query.get("limit", wire.PAGE_DEFAULT), call.query.get("cursor")

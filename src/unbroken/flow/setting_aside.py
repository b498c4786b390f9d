"""Setting aside: a timeline that cannot be computed is left for later, so that everybody else's goes on.

It is tried again as soon as something new comes for its user, when the server starts, and else after a minute, two,
four, up to about an hour. Until then what was told before is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unbroken import wire
from unbroken.flow.whose import person
from unbroken.store import holdings
from unbroken.store import set_aside as rows
from unbroken.store.due_timelines import LONGEST_PAUSE_MS

if TYPE_CHECKING:
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.due_timelines import Due

_FIRST_PAUSE_MS: Final = 60_000


async def set_aside(context: Context, due: Due, error: Exception) -> bool:
    """Leave a timeline for later; whether this is its first failure, so that it is told once."""
    retry_at = context.wall.now_ms() + min(_FIRST_PAUSE_MS * 2**due.failures, LONGEST_PAUSE_MS)
    await context.store.write(lambda tx: rows.set_aside(tx, due, type(error).__name__, retry_at))
    return due.failures == 0


async def timeline_state(context: Context, caller: KeyCaller, user_id: str) -> dict[str, Any]:
    """How far a person's timeline is, for the operator.

    Raises:
        NotFound.
    """

    async def load(tx: Transaction) -> dict[str, Any]:
        of = await person(tx, caller, user_id)
        failed = await rows.failed_of(tx, of.user_id)
        if failed is None:
            return {"state": "due" if await holdings.is_due(tx, of.user_id) else "up to date"}
        again = {"failures": failed.failures, "tried_again_at": wire.iso(failed.retry_at)}
        return {"state": "cannot be computed", "trouble": failed.trouble, **again}

    return await context.store.read(load)

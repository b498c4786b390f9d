"""Tidy: what has ended and can mean nothing any more is let go of: kept answers, changes, codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.credentials import USER_TOKEN_LIFE_MS
from unbroken.domain.quota import day_of
from unbroken.flow.codes import CODES_KNOWN_MS
from unbroken.flow.purge import BY_ITSELF_BYTES, purge
from unbroken.flow.repeat import KEPT_MS
from unbroken.store import auth_codes, idempotency, quota_uses, standing_changes

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


async def tidy(context: Context) -> None:
    """Delete what has ended; repeating it changes nothing."""
    now_ms = context.clock.now_ms()

    async def delete(tx: Transaction) -> None:
        await idempotency.forget_answers(tx, now_ms - KEPT_MS)
        await auth_codes.forget_codes(tx, now_ms - CODES_KNOWN_MS)
        await standing_changes.forget_changes(tx, now_ms - USER_TOKEN_LIFE_MS)
        await quota_uses.forget_before(tx, day_of(context.wall.now_ms()) - 1)

    await context.store.write(delete)
    await purge(context, rewrite_up_to_bytes=BY_ITSELF_BYTES)

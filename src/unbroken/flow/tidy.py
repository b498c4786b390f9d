"""Tidy: what has ended and can mean nothing any more is let go of: kept answers, changes, codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.credentials import USER_TOKEN_LIFE_MS
from unbroken.domain.quota import day_of
from unbroken.flow.codes import CODES_KNOWN_MS
from unbroken.flow.purge import BY_ITSELF_BYTES, purge
from unbroken.flow.reckoning import reckon
from unbroken.flow.repeat import KEPT_MS
from unbroken.store import auth_codes, idempotency, quota_uses, standing_changes

if TYPE_CHECKING:
    from unbroken.domain.reckoning import Reckoning
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


async def tidy(context: Context) -> Reckoning:
    """Delete what has ended, by the time that is told; repeating it changes nothing.

    A change of who may upload is among it: one that was forgotten too early gives tokens back what was taken from them.
    """
    time = await reckon(context)
    now_ms = time.deletes_by_ms
    today = day_of(context.wall.now_ms() if context.lab else now_ms)

    async def delete(tx: Transaction) -> None:
        await idempotency.forget_answers(tx, now_ms - KEPT_MS)
        await auth_codes.forget_codes(tx, now_ms - CODES_KNOWN_MS)
        await standing_changes.forget_changes(tx, now_ms - USER_TOKEN_LIFE_MS)
        await quota_uses.forget_before(tx, today - 1)

    await context.store.write(delete)
    await purge(context, rewrite_up_to_bytes=BY_ITSELF_BYTES)
    return time

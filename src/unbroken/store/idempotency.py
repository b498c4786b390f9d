"""What repeated calls were answered the first time, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.store import sealed

if TYPE_CHECKING:
    from unbroken.domain.ids import UserId
    from unbroken.store.contract import Transaction

_KEPT: Final = "SELECT body_hash, status, reply FROM idempotency WHERE caller = $1 AND idempotency_key = $2 AND at > $3"
_KEEP: Final = (
    "INSERT INTO idempotency (caller, idempotency_key, body_hash, status, reply, at, user_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (caller, idempotency_key) DO UPDATE SET"
    " body_hash = excluded.body_hash, status = excluded.status, reply = excluded.reply, at = excluded.at,"
    " user_id = excluded.user_id"
)
_FORGET_KEPT: Final = "DELETE FROM idempotency WHERE at <= $1"


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that a call got the first time."""

    body_hash: bytes
    status: int
    reply: bytes


async def kept_answer(tx: Transaction, caller: bytes, key: str, since_ms: int) -> Kept | None:
    """The answer kept under a caller's key, unless it is older than `since_ms`."""
    row = await tx.one(_KEPT, caller, key, since_ms)
    return Kept(bytes(row[0]), row[1], sealed.unseal_body(tx, caller, row[2])) if row else None


async def keep_answer(tx: Transaction, caller: bytes, key: str, kept: Kept, at: int, user_id: UserId | None) -> None:
    """Keep an answer; `user_id` is the person it speaks of."""
    reply = await sealed.seal_body(tx, caller, kept.reply)
    await tx.run(_KEEP, caller, key, kept.body_hash, kept.status, reply, at, user_id)


async def forget_answers(tx: Transaction, before_ms: int) -> None:
    """Drop the answers that nobody can ask for any more."""
    await tx.run(_FORGET_KEPT, before_ms)

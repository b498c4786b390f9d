"""The first answer to an undo, by what it undid: saying it again gets that one, and adds no fact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import FactId
    from unbroken.store.contract import Transaction

_KEEP: Final = (
    "INSERT INTO undo_answers (subject, body) VALUES ($1, $2) ON CONFLICT (subject) DO UPDATE SET body = excluded.body"
)
_ANSWER: Final = "SELECT body FROM undo_answers WHERE subject = $1"


async def keep_answer(tx: Transaction, subject: FactId, body: bytes) -> None:
    """Keep what the undo of `subject` answered."""
    await tx.run(_KEEP, subject, body)


async def answer_to(tx: Transaction, subject: FactId) -> bytes | None:
    """What the last undo of `subject` answered."""
    row = await tx.one(_ANSWER, subject)
    return bytes(row[0]) if row else None

"""Which of the timelines that are due could not be computed, and are set aside until later.

Whatever marks one of them as due again takes it up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import UserId

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction
    from unbroken.store.due_timelines import Due

_SET_ASIDE: Final = (
    "UPDATE due SET failures = failures + 1, trouble = $3, retry_at = $4 WHERE user_id = $1 AND version = $2"
)
_RELEASE_ALL: Final = "UPDATE due SET failures = 0, retry_at = 0 WHERE trouble IS NOT NULL"
_FAILED: Final = "SELECT user_id, failures, retry_at, trouble FROM due WHERE trouble IS NOT NULL ORDER BY user_id"
_FAILED_OF: Final = "SELECT user_id, failures, retry_at, trouble FROM due WHERE user_id = $1 AND trouble IS NOT NULL"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A timeline that could not be computed.

    Args:
        failures: how often since the process began.
        retry_at: when it is tried again, by the system's clock.
        trouble: the kind of the last error, without its words: they may say something of the person.
    """

    user_id: UserId
    failures: int
    retry_at: int
    trouble: str


async def set_aside(tx: Transaction, due: Due, trouble: str, retry_at: int) -> None:
    """Leave a timeline for later, unless it was marked again since."""
    await tx.run(_SET_ASIDE, due.user_id, due.version, trouble, retry_at)


async def release_all(tx: Transaction) -> None:
    """Take all of them up again, as if for the first time."""
    await tx.run(_RELEASE_ALL)


async def failed(tx: Transaction) -> list[SetAside]:
    """Every timeline that could not be computed."""
    return [SetAside(UserId(row[0]), *row[1:]) for row in await tx.all(_FAILED)]


async def failed_of(tx: Transaction, user_id: UserId) -> SetAside | None:
    """That of one user."""
    row = await tx.one(_FAILED_OF, user_id)
    return SetAside(UserId(row[0]), *row[1:]) if row else None

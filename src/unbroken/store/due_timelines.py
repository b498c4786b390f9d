"""What is due, as rows: the timelines that must be computed again, each from an instant on.

Every statement names the user, or one install (architecture.md, engines).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import InstallId, UserId
from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Transaction

LONGEST_PAUSE_MS: Final = 3_840_000
"""For so long a timeline is set aside at most."""

_AGAIN: Final = (
    " ON CONFLICT (user_id) DO UPDATE SET version = due.version + 1, retry_at = 0,"
    " from_ms = CASE WHEN excluded.from_ms < due.from_ms THEN excluded.from_ms ELSE due.from_ms END"
)
_MARK_DUE: Final = (
    "INSERT INTO due (user_id, from_ms, version) SELECT $1, $2, $4 FROM installs WHERE install_id = $3 AND used"
    f"{_AGAIN}"
)
_MARK_UPLOAD_DUE: Final = (
    "INSERT INTO due (user_id, from_ms, version) SELECT user_id, $2, $3 FROM installs WHERE install_id = $1"
    f"{_AGAIN} RETURNING from_ms"
)
_MARK: Final = f"INSERT INTO due (user_id, from_ms, version) VALUES ($1, $2, $3){_AGAIN} RETURNING from_ms, version"
_DUE: Final = (
    "SELECT user_id, from_ms, version, failures FROM due WHERE (retry_at <= $1 OR retry_at > $2) AND user_id > $3"
    " ORDER BY user_id LIMIT $4"
)
_AGAIN_DUE: Final = "UPDATE due SET version = version + 1 WHERE user_id = $1"
_DUE_OF: Final = "SELECT from_ms, version FROM due WHERE user_id = $1"
_DONE: Final = "DELETE FROM due WHERE user_id = $1 AND version = $2"
_CHANCE: Final = SystemRandomness()
_DUE_VERSION: Final = "SELECT version FROM due WHERE user_id = $1 FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Due:
    """A timeline that must be computed again from an instant on.

    Args:
        version: tells whether it was marked again since; never the same for two marks.
        failures: how often computing it failed (`store.set_aside`).
    """

    user_id: UserId
    from_ms: int
    version: int
    failures: int = 0


def _first_version() -> int:
    """One that no earlier mark of this timeline had: whoever still computes for that must not take this for it.

    It is by chance, as the row that could count is gone once a timeline is computed; nobody ever sees it.
    """
    return int.from_bytes(_CHANCE.secret(6), "big")


async def mark_due(tx: Transaction, install_id: InstallId, user_id: UserId, from_ms: int) -> None:
    """Mark a user's timeline, unless the install that changed never uploaded anything."""
    if await tx.run(_MARK_DUE, user_id, from_ms, install_id, _first_version()):
        tx.wake()


async def mark_uploads_due(tx: Transaction, uploads: Sequence[tuple[InstallId, int]]) -> list[bool]:
    """Mark the timelines of whoever some installs belong to, each from an instant on; which of them are there."""
    marked = await tx.each(_MARK_UPLOAD_DUE, [(one, from_ms, _first_version()) for one, from_ms in uploads])
    if any(marked):
        tx.wake()  # it may be another worker's to compute
    return [bool(rows) for rows in marked]


async def mark(tx: Transaction, user_id: UserId, from_ms: int) -> Due:
    """Mark a user's timeline, whoever uploaded what."""
    row = await tx.one(_MARK, user_id, from_ms, _first_version())
    assert row is not None
    return Due(user_id, row[0], row[1])


async def due(tx: Transaction, now_ms: int, after: bytes, limit: int) -> list[Due]:
    """A page of the timelines that are due, without those that are set aside.

    Args:
        now_ms: by the system's clock. What was set aside for longer from here on was so by one that is set back by now.
        after: the user id behind which the page begins; b"" for the first.
    """
    return [
        Due(UserId(row[0]), *row[1:]) for row in await tx.all(_DUE, now_ms, now_ms + LONGEST_PAUSE_MS, after, limit)
    ]


async def due_of(tx: Transaction, users: Sequence[UserId]) -> list[Due]:
    """Those of some users' timelines that are due."""
    rows = [(user_id, await tx.one(_DUE_OF, user_id)) for user_id in users]
    return [Due(user_id, row[0], row[1]) for user_id, row in rows if row is not None]


async def begin_again(tx: Transaction, user_id: UserId) -> None:
    """What is being computed of this timeline starts from rows that are about to change: let it not be written."""
    await tx.run(_AGAIN_DUE, user_id)


async def is_still(tx: Transaction, marked: Due) -> bool:
    """Whether nothing was marked since."""
    row = await tx.one(_DUE_VERSION, marked.user_id)
    return row is not None and row[0] == marked.version


async def done(tx: Transaction, marked: Due) -> None:
    """It is computed."""
    await tx.run(_DONE, marked.user_id, marked.version)

"""What the processes have lately allowed of callers that are near a limit: one row a process, for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.store.contract import Transaction

_SAY: Final = """
    INSERT INTO limit_uses (holder, beats, counts) VALUES ($1, 1, $2)
    ON CONFLICT (holder) DO UPDATE SET beats = limit_uses.beats + 1, counts = excluded.counts"""
_OTHERS: Final = "SELECT holder, beats, counts FROM limit_uses WHERE holder <> $1 ORDER BY holder"
_FORGET: Final = "DELETE FROM limit_uses WHERE holder = $1"


class Said(NamedTuple):
    """What another process said last, and how often it has spoken."""

    holder: str
    beats: int
    counts: bytes


async def exchange(tx: Transaction, holder: str, counts: bytes) -> list[Said]:
    """Say what `holder` has allowed; what the others have."""
    await tx.run(_SAY, holder, counts)
    return [Said(row[0], int(row[1]), bytes(row[2])) for row in await tx.all(_OTHERS, holder)]


async def forget(tx: Transaction, holders: Iterable[str]) -> None:
    """They have stopped, or are heard of no more; one that goes on after all says so again."""
    await tx.many(_FORGET, [(holder,) for holder in holders])

"""Which workers there are, and how often each has said so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.store.contract import Transaction

_BEAT: Final = """
    INSERT INTO workers (holder, beats) VALUES ($1, 1) ON CONFLICT (holder) DO UPDATE SET beats = workers.beats + 1"""
_ALL: Final = "SELECT holder, beats FROM workers ORDER BY holder"
_FORGET: Final = "DELETE FROM workers WHERE holder = $1"


async def beat(tx: Transaction, holder: str) -> dict[str, int]:
    """Say that `holder` is alive; the beats of all."""
    await tx.run(_BEAT, holder)
    return {row[0]: int(row[1]) for row in await tx.all(_ALL)}


async def forget(tx: Transaction, holders: Iterable[str]) -> None:
    """They have left, or are heard of no more; one that is alive after all says so again."""
    await tx.many(_FORGET, [(holder,) for holder in holders])

"""The time that deleting goes by, as the one row that it is kept in (`domain/reckoning.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain.reckoning import Reckoning

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_FIND: Final = "SELECT at, away_from, away_to FROM reckoning WHERE only_row = 1"
_PUT: Final = "UPDATE reckoning SET at = $1, away_from = $2, away_to = $3 WHERE only_row = 1"


async def find(tx: Transaction) -> Reckoning | None:
    """What was made of the clock so far; None where it was never read."""
    row = await tx.one(_FIND)
    return Reckoning(*row) if row and row[0] else None


async def put(tx: Transaction, new: Reckoning) -> None:
    """Replace it."""
    await tx.run(_PUT, new.at_ms, new.away_from_ms, new.away_to_ms)

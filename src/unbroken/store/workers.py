"""Which workers are alive, as each says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_SAY: Final = """
    INSERT INTO workers (holder, alive_until) VALUES ($1, $2)
    ON CONFLICT (holder) DO UPDATE SET alive_until = excluded.alive_until"""
_FORGET: Final = "DELETE FROM workers WHERE alive_until <= $1"
_LEAVE: Final = "DELETE FROM workers WHERE holder = $1"
_ALIVE: Final = "SELECT holder FROM workers WHERE alive_until > $1 ORDER BY holder"


async def say_alive(tx: Transaction, holder: str, now_ms: int, until_ms: int) -> list[str]:
    """Say that `holder` is alive until then; all who are alive now."""
    await tx.run(_FORGET, now_ms)
    await tx.run(_SAY, holder, until_ms)
    return [row[0] for row in await tx.all(_ALIVE, now_ms)]


async def leave(tx: Transaction, holder: str) -> None:
    """It works no more."""
    await tx.run(_LEAVE, holder)


async def alive(tx: Transaction, now_ms: int) -> list[str]:
    """All who are alive."""
    return [row[0] for row in await tx.all(_ALIVE, now_ms)]

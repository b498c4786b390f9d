"""Seal: which keys a database was written with, and whether it is a lab's.

Where several processes share a database, each has a data directory of its own: one with other keys would take every
secret for a wrong one, and one with another clock would mix facts of two times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_FIND: Final = "SELECT keys_digest, is_lab FROM seal WHERE only_row = 1"
_SET: Final = "INSERT INTO seal (only_row, keys_digest, is_lab) VALUES (1, $1, $2) ON CONFLICT (only_row) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a database bears.

    Args:
        keys_digest: keyed with the platform's keys, 32 bytes.
    """

    keys_digest: bytes
    is_lab: bool


async def find(tx: Transaction) -> Seal | None:
    """The seal; None on a database that nothing was stored in yet."""
    row = await tx.one(_FIND)
    return Seal(bytes(row[0]), bool(row[1])) if row else None


async def agree(tx: Transaction, seal: Seal) -> Seal:
    """Seal a new database; what it bears now, which is another's where that was faster."""
    await tx.run(_SET, seal.keys_digest, seal.is_lab)
    return await find(tx) or seal

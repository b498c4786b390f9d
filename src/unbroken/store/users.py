"""What a user carries beside the ledger: metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import UserId
    from unbroken.store.contract import Transaction

_METADATA: Final = "SELECT metadata FROM users WHERE user_id = $1"
_SET_METADATA: Final = "UPDATE users SET metadata = $2 WHERE user_id = $1"


async def metadata(tx: Transaction, user_id: UserId) -> dict[str, str]:
    """The user's key-value pairs."""
    row = await tx.one(_METADATA, user_id)
    pairs: dict[str, str] = json.loads(row[0]) if row else {}
    return pairs


async def set_metadata(tx: Transaction, user_id: UserId, pairs: dict[str, str]) -> None:
    """Replace them."""
    await tx.run(_SET_METADATA, user_id, json.dumps(pairs))

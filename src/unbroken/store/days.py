"""Days: some days of a timeline, read with all that serving them asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, UserId
    from unbroken.store.contract import Transaction

_DAYS: Final = (
    "SELECT i.device, t.labels, c.body FROM users u JOIN installs i ON i.install_id = u.holder"
    " LEFT JOIN timelines t ON t.user_id = u.user_id"
    " LEFT JOIN chunks c ON c.user_id = u.user_id AND c.day <= $4 AND c.day >= coalesce("
    "(SELECT max(b.day) FROM chunks b WHERE b.user_id = $2 AND b.day < $3), $3)"
    " WHERE u.app_id = $1 AND u.user_id = $2 AND u.redirect IS NULL ORDER BY c.day DESC"
)


@dataclass(frozen=True, slots=True)
class Days:
    """Some days of a timeline as they are served.

    Args:
        device: what the SDK of the active install reported, as JSON.
        labels: see `timelines.labels`.
        chunks: see `timelines.chunks`.
    """

    device: str
    labels: bytes | None
    chunks: list[bytes]


async def of_user(tx: Transaction, app_id: AppId, user_id: UserId, first_day: int, last_day: int) -> Days | None:
    """All that a page of events is made of, with one statement: a database on another host is asked once.

    Returns:
        None where there is no such user, it redirects, or no install of it is active.
    """
    rows = await tx.all(_DAYS, app_id, user_id, first_day, last_day)
    if not rows:
        return None
    device, labels_of, _ = rows[0]
    return Days(device, labels_of and bytes(labels_of), [row[2] for row in rows if row[2] is not None])

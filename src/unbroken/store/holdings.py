"""Everything held on one person, to be read out: what is kept beside the ledger, events and uploads in pages.

Nothing here is a secret: of credentials and codes not even the digests are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.store import sealed
from unbroken.store.timelines import EVENT, event_of

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, ExternalId, InstallId, UserId
    from unbroken.store.contract import Transaction
    from unbroken.store.timelines import EventRow


@dataclass(frozen=True, slots=True)
class KeptCode:
    """An authentication code, without what would let anybody use it."""

    external_id: str
    expires_at: int
    redeemed_by: bytes | None
    actor: str


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """One upload: its position, when it came, the clock offset it was judged by, its body compressed."""

    seq: int
    received_at: int
    offset_ms: int
    body: bytes


_CODES: Final = (
    "SELECT expires_at, redeemed_by, actor FROM auth_codes WHERE app_id = $1 AND sealed_id = $2"
    " ORDER BY expires_at, digest"
)
_ANSWERS: Final = "SELECT caller, at, reply FROM idempotency WHERE user_id = $1 ORDER BY at, caller, idempotency_key"
_UPLOADS_COUNT: Final = "SELECT count(*) FROM payloads WHERE install_id = $1"
_UPLOADS: Final = (
    "SELECT seq, received_at, offset_ms, body FROM payloads WHERE install_id = $1 AND seq > $2 AND seq <= $3"
    " ORDER BY seq LIMIT $4"
)
_EVENTS: Final = (
    f"SELECT {EVENT} FROM events"
    " WHERE user_id = $1 AND start_ms >= $2 AND (start_ms > $2 OR event_id > $3) ORDER BY start_ms, event_id LIMIT $4"
)
_ERASURES: Final = "SELECT count(*) FROM facts WHERE app_id = $1 AND user_id = $2 AND kind = 'erased'"
_IS_DUE: Final = "SELECT 1 FROM due WHERE user_id = $1"


async def codes_for(tx: Transaction, app_id: AppId, external_id: ExternalId) -> list[KeptCode]:
    """The authentication codes for an external id that are still known."""
    rows = await tx.all(_CODES, app_id, await sealed.seal(tx, app_id, external_id))
    return [KeptCode(external_id, *row) for row in rows]


async def answers_about(tx: Transaction, user_id: UserId) -> list[tuple[bytes, int, bytes]]:
    """The kept answers about a user: (API key, time, the reply)."""
    rows = await tx.all(_ANSWERS, user_id)
    return [(row[0], row[1], sealed.unseal_body(tx, row[0], row[2])) for row in rows]


async def count_uploads(tx: Transaction, install_id: InstallId) -> int:
    """How many uploads of an install are kept."""
    row = await tx.one(_UPLOADS_COUNT, install_id)
    assert row is not None
    return int(row[0])


async def uploads_after(tx: Transaction, install_id: InstallId, after: int, until: int, limit: int) -> list[KeptUpload]:
    """A page of an install's uploads, with positions in `(after, until]`."""
    return [KeptUpload(*row) for row in await tx.all(_UPLOADS, install_id, after, until, limit)]


async def events_after(tx: Transaction, user_id: UserId, start_ms: int, event_id: str, limit: int) -> list[EventRow]:
    """A page of a user's events, in order of start and id, removed ones too."""
    return [event_of(row) for row in await tx.all(_EVENTS, user_id, start_ms, event_id, limit)]


async def count_erasures(tx: Transaction, app_id: AppId, user_id: UserId) -> int:
    """How often a part of what is held on a user, who is still there, was erased."""
    row = await tx.one(_ERASURES, app_id, user_id)
    assert row is not None
    return int(row[0])


async def is_due(tx: Transaction, user_id: UserId) -> bool:
    """Whether a user's timeline is to be computed again."""
    return await tx.one(_IS_DUE, user_id) is not None

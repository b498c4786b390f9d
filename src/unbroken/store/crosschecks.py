"""Cross-checks: what one table says of another, and the payload log of both, raw (`flow/verify`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unbroken.store.install_credentials import NO_CREDENTIAL

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, InstallId, UserId
    from unbroken.store.contract import Row, Transaction

_LAST_POLICY: Final = (
    "SELECT fields FROM facts WHERE app_id = $1 AND kind = 'policy changed' ORDER BY position DESC LIMIT 1"
)
_LAST_CHANGES: Final = (
    "SELECT c.seq, c.install_id, c.standing, i.standing, i.is_disabled, u.is_disabled"
    " FROM (SELECT install_id, max(seq) AS seq FROM changes WHERE install_id IS NOT NULL GROUP BY install_id) m"
    " JOIN changes c ON c.seq = m.seq LEFT JOIN installs i ON i.install_id = c.install_id"
    " LEFT JOIN users u ON u.user_id = i.user_id"
)
_NAMES_EXTERNAL_ID: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND sealed_id = $2 LIMIT 1"
_NAMES_REGISTERED: Final = "SELECT 1 FROM facts WHERE install_id = $1 AND kind = 'registered' LIMIT 1"
_NAMES_FIRST: Final = "SELECT 1 FROM facts WHERE user_id = $1 AND kind = 'registered' LIMIT 1"
_GIVEN_BY_UNDO: Final = "SELECT 1 FROM facts WHERE subject IS NOT NULL AND kind = 'unlinked' AND fields LIKE $1 LIMIT 1"
_TOMBSTONE_LIKE: Final = "SELECT 1 FROM tombstones WHERE app_id = $1 AND digest >= $2 AND digest < $3 LIMIT 1"
_BURIED_BY: Final = (
    "SELECT t.kind, r.body FROM tombstones t LEFT JOIN receipts r ON r.receipt_id = t.receipt_id WHERE t.digest = $1"
)
_ANY_TOMBSTONE: Final = "SELECT 1 FROM tombstones LIMIT 1"
_BURIED_COUNTS: Final = "SELECT receipt_id, kind, count(*) FROM tombstones GROUP BY receipt_id, kind"
_INSTALL_RECEIPT: Final = 'SELECT 1 FROM receipts WHERE app_id = $1 AND body LIKE \'%"erased":"install"%\' LIMIT 1'
_IS_ADOPTED: Final = (
    "SELECT 1 FROM installs WHERE credential_digest = $3 AND (install_id = $1 OR user_id = $2"
    " OR user_id = (SELECT redirect FROM users WHERE user_id = $2)) LIMIT 1"
)
_IS_RECEIPT: Final = "SELECT 1 FROM receipts WHERE receipt_id = $1"
_UNDO_HIDDEN: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND is_hidden AND kind = 'unlinked' LIMIT 1"


async def last_policy(tx: Transaction, app_id: AppId) -> Any:
    """The fields of the last change of an app's policy, or None where it is as it began."""
    row = await tx.one(_LAST_POLICY, app_id)
    return row[0] if row else None


async def last_changes(tx: Transaction) -> list[Row]:
    """(seq, install, what was told, standing, is disabled, is its user disabled) of each install's last change."""
    return await tx.all(_LAST_CHANGES)


async def is_external_id_named(tx: Transaction, app_id: AppId, sealed_id: str) -> bool:
    """Whether the ledger ever named an external id, as it stands in the tables."""
    return await tx.one(_NAMES_EXTERNAL_ID, app_id, sealed_id) is not None


async def is_registered(tx: Transaction, install_id: InstallId) -> bool:
    """Whether the ledger knows where an install comes from."""
    return await tx.one(_NAMES_REGISTERED, install_id) is not None


async def is_given_out(tx: Transaction, user_id: UserId) -> bool:
    """Whether the ledger gave out a user id, by a registration or an undo."""
    if await tx.one(_NAMES_FIRST, user_id) is not None:
        return True
    return await tx.one(_GIVEN_BY_UNDO, f'%"{user_id.hex()}"%') is not None


async def is_receipt(tx: Transaction, receipt_id: bytes) -> bool:
    """Whether a receipt is there."""
    return await tx.one(_IS_RECEIPT, receipt_id) is not None


async def is_adopted(tx: Transaction, install_id: bytes | None, user_id: bytes | None) -> bool:
    """Whether an install, or a user, came by an import: then its credentials stayed where it was before."""
    return await tx.one(_IS_ADOPTED, install_id, user_id, NO_CREDENTIAL) is not None


async def is_install_receipt(tx: Transaction, app_id: AppId) -> bool:
    """Whether an install of an app was erased alone."""
    return await tx.one(_INSTALL_RECEIPT, app_id) is not None


async def is_undo_hidden(tx: Transaction, app_id: AppId) -> bool:
    """Whether an erasure has put an undo out of sight."""
    return await tx.one(_UNDO_HIDDEN, app_id) is not None


async def is_buried(tx: Transaction, app_id: AppId, prefix: bytes) -> bool:
    """Whether a tombstone of an app begins so."""
    return await tx.one(_TOMBSTONE_LIKE, app_id, prefix, prefix + b"\xff" * 32) is not None


async def buried_by(tx: Transaction, digest: bytes) -> tuple[str, str | None] | None:
    """What this keyed hash is of (`tombstones.kind`), and the receipt that says so; None where nobody is gone."""
    row = await tx.one(_BURIED_BY, digest)
    return (row[0], row[1]) if row else None


async def are_tombstones(tx: Transaction) -> bool:
    """Whether anybody was ever erased."""
    return await tx.one(_ANY_TOMBSTONE) is not None


async def buried_counts(tx: Transaction) -> dict[tuple[bytes, str], int]:
    """How many tombstones there are, by receipt and kind; looks through the whole table."""
    return {(bytes(row[0]), row[1]): int(row[2]) for row in await tx.all(_BURIED_COUNTS)}


# The payload log

_LOG_HEAD: Final = "SELECT position FROM log_head WHERE only_row = 1"
_PARTITIONS: Final = "SELECT partition_no, position, epoch FROM log_partitions ORDER BY partition_no"
_RECORDS: Final = (
    "SELECT partition_no, position, install_id, body FROM log_records WHERE (partition_no, position) > ($1, $2)"
    " ORDER BY partition_no, position LIMIT $3"
)
_SEQS: Final = (
    "SELECT install_id, seq FROM payloads WHERE (install_id, seq) > ($1, $2) ORDER BY install_id, seq LIMIT $3"
)
_SOMETHING_WENT: Final = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM receipts) OR EXISTS (SELECT 1 FROM installs WHERE kept_from > 0)"
    " OR EXISTS (SELECT 1 FROM dead_letters)"
)


async def log_head(tx: Transaction) -> list[Row]:
    """The head of the payload log."""
    return await tx.all(_LOG_HEAD)


async def partitions(tx: Transaction) -> list[Row]:
    """(partition, cursor, epoch) of each."""
    return await tx.all(_PARTITIONS)


async def records(tx: Transaction, partition: int, position: int, limit: int) -> list[Row]:
    """(partition, position, install, body) of some of what waits, from behind one."""
    return await tx.all(_RECORDS, partition, position, limit)


async def seqs(tx: Transaction, install_id: bytes, seq: int, limit: int) -> list[Row]:
    """(install, position) of some kept uploads, from behind one."""
    return await tx.all(_SEQS, install_id, seq, limit)


async def something_went(tx: Transaction) -> bool:
    """Whether uploads may be gone for a reason: an erasure, retention, or as they cannot be processed."""
    return await tx.one(_SOMETHING_WENT) is not None

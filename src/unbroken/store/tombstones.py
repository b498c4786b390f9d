"""Who is gone: keyed hashes of ids and credentials, and the receipts of their erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import AppId
    from unbroken.store.contract import Transaction

_FIND: Final = "SELECT app_id, receipt_id FROM tombstones WHERE digest = $1 AND kind = $2"
_IS_ANY: Final = "SELECT 1 FROM tombstones WHERE digest = $1"
_ADD: Final = (
    "INSERT INTO tombstones (digest, app_id, kind, receipt_id) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING"
)
_ADD_RECEIPT: Final = "INSERT INTO receipts (receipt_id, app_id, body, is_purged) VALUES ($1, $2, $3, FALSE)"
_RECEIPT: Final = "SELECT body FROM receipts WHERE receipt_id = $1"
_UNPURGED: Final = "SELECT receipt_id FROM receipts WHERE NOT is_purged"
_SOILED: Final = "UPDATE receipts SET is_purged = FALSE WHERE receipt_id = $1"
_ALL_SOILED: Final = "UPDATE receipts SET is_purged = FALSE WHERE is_purged"
_PURGED: Final = "UPDATE receipts SET is_purged = TRUE WHERE receipt_id = $1"


Kind = Literal["user", "install", "credential"]


async def is_any_gone(tx: Transaction, digest: bytes) -> bool:
    """Whether anything that this keyed hash stands for was erased."""
    return await tx.one(_IS_ANY, digest) is not None


async def is_gone(tx: Transaction, digest: bytes, kind: Kind) -> bool:
    """Whether what this keyed hash stands for was erased."""
    return await find(tx, digest, kind) is not None


async def find(tx: Transaction, digest: bytes, kind: Kind) -> tuple[AppId, bytes] | None:
    """The app of what was erased, and the id of the receipt."""
    row = await tx.one(_FIND, digest, kind)
    return (row[0], row[1]) if row else None


async def receipts_of(tx: Transaction, digests: Sequence[bytes], kind: Kind) -> list[bytes | None]:
    """Of each of some keyed hashes, the id of the receipt if what it stands for was erased."""
    found = await tx.each(_FIND, [(digest, kind) for digest in digests])
    return [rows[0][1] if rows else None for rows in found]


async def add(tx: Transaction, app_id: AppId, kind: Kind, digests: Sequence[bytes], receipt_id: bytes) -> None:
    """Remember what was erased."""
    await tx.many(_ADD, [(digest, app_id, kind, receipt_id) for digest in digests])


# Receipts


async def add_receipt(tx: Transaction, app_id: AppId, receipt_id: bytes, body: str) -> None:
    """Keep a receipt, so that repeating the call gives the same; the files are still to be purged."""
    await tx.run(_ADD_RECEIPT, receipt_id, app_id, body)


async def receipt(tx: Transaction, receipt_id: bytes) -> str | None:
    """The JSON of a receipt."""
    row = await tx.one(_RECEIPT, receipt_id)
    return str(row[0]) if row else None


async def unpurged(tx: Transaction) -> list[bytes]:
    """The receipts of erasures after which the files were not purged yet (`Store.purge`)."""
    return [bytes(row[0]) for row in await tx.all(_UNPURGED)]


async def soil(tx: Transaction, receipt_id: bytes) -> None:
    """Something late of what was erased went through the files: they are to be purged once more."""
    await tx.run(_SOILED, receipt_id)


async def soil_all(tx: Transaction) -> None:
    """The files were filled anew, and may hold something of anybody: they are to be purged."""
    await tx.run(_ALL_SOILED)


async def purged(tx: Transaction, receipt_ids: Sequence[bytes]) -> None:
    """The files were purged after these."""
    await tx.many(_PURGED, [(receipt_id,) for receipt_id in receipt_ids])

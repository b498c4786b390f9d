"""Secrets that are kept under an earlier pepper yet: how many open something, and so would be unknown without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_IS_OLDER: Final = "NOT (length({digest}) = 33 AND substr({digest}, 1, 1) = $1)"
_COUNTS: Final = {
    "app secrets": ("apps", "secret_digest", "CAST($2 AS BIGINT) IS NOT NULL"),
    "API keys": ("api_keys", "digest", "revoked_at IS NULL AND expires_at > $2"),
    "install credentials": (
        "installs",
        "credential_digest",
        "length(credential_digest) > 0 AND standing <> 'deleted' AND CAST($2 AS BIGINT) IS NOT NULL",
    ),
    "codes": ("auth_codes", "digest", "redeemed_by IS NULL AND CAST($2 AS BIGINT) IS NOT NULL"),
}


async def left(tx: Transaction, pepper_no: int, now_ms: int) -> dict[str, int]:
    """How many are not under pepper `pepper_no`, by kind; looks through whole tables.

    Args:
        now_ms: the system's clock.
    """
    counts = {}
    for kind, (table, digest, is_in_force) in _COUNTS.items():
        older = _IS_OLDER.format(digest=digest)
        row = await tx.one(f"SELECT count(*) FROM {table} WHERE {is_in_force} AND {older}", bytes([pepper_no]), now_ms)
        counts[kind] = int(row[0]) if row else 0
    return counts

"""Secrets that are kept under an earlier pepper yet: how many open something, and so would be unknown without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_IS_OLDER: Final = "NOT (length({digest}) = 33 AND substr({digest}, 1, 1) = $1)"
_TYPED: Final = "CAST($2 AS BIGINT) IS NOT NULL AND CAST($3 AS BIGINT) IS NOT NULL"
"""Each statement is given both instants, so each says what they are."""
_COUNTS: Final = {
    "app secrets": ("apps", "secret_digest", "TRUE"),
    "API keys": ("api_keys", "digest", "revoked_at IS NULL AND expires_at > $2"),
    "install credentials": (
        "installs",
        "credential_digest",
        "length(credential_digest) > 0 AND standing <> 'deleted'",
    ),
    "codes": ("auth_codes", "digest", "redeemed_by IS NULL AND expires_at > $3"),
}


async def left(tx: Transaction, pepper_no: int, *, wall_ms: int, now_ms: int) -> dict[str, int]:
    """How many are not under pepper `pepper_no`, by kind; looks through whole tables.

    Args:
        wall_ms: the system's clock, by which API keys end.
        now_ms: the platform's, by which codes do.
    """
    counts = {}
    for kind, (table, digest, is_in_force) in _COUNTS.items():
        older = _IS_OLDER.format(digest=digest)
        statement = f"SELECT count(*) FROM {table} WHERE {is_in_force} AND {older} AND {_TYPED}"
        row = await tx.one(statement, bytes([pepper_no]), wall_ms, now_ms)
        counts[kind] = int(row[0]) if row else 0
    return counts

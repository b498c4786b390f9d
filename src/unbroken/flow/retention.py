"""Retention (stub of the lead until R's arrives)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import InstallId
    from unbroken.store.contract import Transaction


async def is_kept_since(tx: Transaction, install_ids: Sequence[InstallId], at_ms: int) -> bool:
    """Whether all payloads received since `at_ms` are kept."""
    return True

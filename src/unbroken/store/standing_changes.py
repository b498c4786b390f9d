"""Who stands otherwise than the tokens say, as rows, until the tokens are renewed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import InstallId
    from unbroken.store.contract import Transaction

_ADD_CHANGE: Final = "INSERT INTO changes (install_id, standing, at) VALUES ($1, $2, $3)"
_CHANGES: Final = "SELECT seq, install_id, standing, at FROM changes WHERE seq > $1 ORDER BY seq"
_FORGET_CHANGES: Final = (
    "DELETE FROM changes WHERE at < $1 AND (install_id IS NOT NULL"
    " OR seq < (SELECT max(c.seq) FROM changes c WHERE c.install_id IS NULL))"
)


ERASED: Final = "erased"
"""The standing of an erased install, which is named by its keyed hash."""


@dataclass(frozen=True, slots=True)
class Change:
    """An install stands otherwise since `at`; without an install it is the apps that changed."""

    seq: int
    install_id: InstallId | None
    standing: str
    at: int


async def add_change(tx: Transaction, install_id: InstallId, standing: str, at: int) -> None:
    """Tell whoever takes uploads."""
    await tx.run(_ADD_CHANGE, install_id, standing, at)


async def add_change_of_apps(tx: Transaction, at: int) -> None:
    """Tell whoever remembers apps and keys that one was stopped, revoked or given another policy."""
    await tx.run(_ADD_CHANGE, None, "apps", at)


async def add_erased(tx: Transaction, digest: bytes, at: int) -> None:
    """Tell whoever takes uploads that the install with this keyed hash was erased."""
    await tx.run(_ADD_CHANGE, digest, ERASED, at)


async def changes_after(tx: Transaction, seq: int) -> list[Change]:
    """The changes after `seq`."""
    return [Change(*row) for row in await tx.all(_CHANGES, seq)]


async def forget_changes(tx: Transaction, before_ms: int) -> None:
    """Drop changes that every valid token knows of.

    The last of apps stays: a process that did nothing meanwhile learns from it that one was stopped, or let go on.
    """
    await tx.run(_FORGET_CHANGES, before_ms)

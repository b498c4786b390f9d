"""The last link calls of each install that were refused, each with what it was decided on; they name nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, InstallId
    from unbroken.store.contract import Transaction

KEPT: Final = 20
"""How many of an install are kept."""

_KEEP: Final = (
    "INSERT INTO refused_links (install_id, number, at, body)"
    " SELECT $1, (SELECT coalesce(max(number), 0) + 1 FROM refused_links WHERE install_id = $1), $2, $3"
    " FROM installs WHERE install_id = $1 AND app_id = $4"
)
_FORGET: Final = (
    "DELETE FROM refused_links WHERE install_id = $1 AND number <="
    " (SELECT max(number) FROM refused_links WHERE install_id = $1) - $2"
)
_OF_INSTALL: Final = "SELECT body FROM refused_links WHERE install_id = $1 AND at <= $2 ORDER BY number DESC"


async def keep(tx: Transaction, app_id: AppId, install_id: InstallId, at: int, body: bytes) -> None:
    """Keep one more, and let the oldest go; nothing of an install that the app does not have, or not any more.

    Args:
        body: JSON of `wire.RefusedLink`.
    """
    await tx.run(_KEEP, install_id, at, body.decode(), app_id)
    await tx.run(_FORGET, install_id, KEPT)


async def of_install(tx: Transaction, install_id: InstallId, until_ms: int) -> list[bytes]:
    """Those of an install up to an instant, newest first."""
    return [row[0].encode() for row in await tx.all(_OF_INSTALL, install_id, until_ms)]

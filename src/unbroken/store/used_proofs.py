"""The challenges that devices answered and the proofs that they gave: by their digests, each once in an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, InstallId
    from unbroken.store.contract import Transaction

_USED: Final = "SELECT 1 FROM used_proofs WHERE app_id = $1 AND digest = $2"
_USE: Final = "INSERT INTO used_proofs (app_id, digest, install_id, used_at) VALUES ($1, $2, $3, $4)"


async def is_any_used(tx: Transaction, app_id: AppId, digests: tuple[bytes, ...]) -> bool:
    """Whether one of these was used in the app before."""
    await tx.hold(*(app_id + digest for digest in digests))
    return any([await tx.one(_USED, app_id, digest) is not None for digest in digests])


async def use(tx: Transaction, app_id: AppId, digests: tuple[bytes, ...], install_id: InstallId, used_at: int) -> None:
    """Use them; the caller has seen that none was."""
    await tx.many(_USE, [(app_id, digest, install_id, used_at) for digest in digests])

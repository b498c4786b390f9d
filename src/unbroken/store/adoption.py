"""Adoption: what is being imported, as rows. Until its install or user is there, nobody sees a payload or an event.

`imports` says whose rows those are, and which run brings them in, so that what a killed run left can be cleared away,
and a run that lives on after it was taken for dead notices that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.store.sealed import seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import AppId, ExternalId, FactId, InstallId, UserId
    from unbroken.store.contract import Transaction

_CLAIM: Final = "INSERT INTO imports (id, is_install, run, at) VALUES ($1, $2, $3, $4)"
_RUN_OF: Final = "SELECT run FROM imports WHERE id = $1"
_SILENT_RUNS: Final = "SELECT DISTINCT run FROM imports WHERE at < $1"
_CLAIMED: Final = "SELECT id, is_install FROM imports WHERE run = $1"
_TOUCH: Final = "UPDATE imports SET at = $2 WHERE run = $1"
_RELEASE: Final = "DELETE FROM imports WHERE run = $1"
_DROP_PAYLOADS: Final = (
    "DELETE FROM payloads WHERE install_id = $1 AND NOT EXISTS (SELECT 1 FROM installs WHERE install_id = $1)"
)
_DROP_EVENTS: Final = "DELETE FROM events WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM users WHERE user_id = $1)"

_INSTALL: Final = "SELECT 1 FROM installs WHERE install_id = $1"
_USER: Final = "SELECT 1 FROM users WHERE user_id = $1"
_FACT: Final = "SELECT 1 FROM facts WHERE fact_id = $1"
_CARRIED: Final = "SELECT 1 FROM carriers WHERE app_id = $1 AND sealed_id = $2"
_NAMED: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND sealed_id = $2 AND NOT is_hidden LIMIT 1"
_ANYBODY: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND kind <> 'policy changed' LIMIT 1"
_SET_USED: Final = "UPDATE installs SET used = TRUE WHERE install_id = $1"


async def claim(
    tx: Transaction, run: bytes, installs: Sequence[InstallId], users: Sequence[UserId], now_ms: int, silent_ms: int
) -> None:
    """Begin to import these; clear away what other runs left of them, or of anybody, without a sign of life.

    Args:
        now_ms: the system's clock.
        silent_ms: a run that last showed itself before this instant is dead.
    """
    dead = {bytes(row[0]) for row in await tx.all(_SILENT_RUNS, silent_ms)}
    for one in [*installs, *users]:
        row = await tx.one(_RUN_OF, one)
        if row is not None:
            dead.add(bytes(row[0]))
    for other in dead - {run}:
        await discard(tx, other)
    await tx.many(_CLAIM, [(one, True, run, now_ms) for one in installs])
    await tx.many(_CLAIM, [(one, False, run, now_ms) for one in users])


async def is_alive(tx: Transaction, run: bytes, now_ms: int) -> bool:
    """Show a sign of life; False where another run has taken this one for dead."""
    return await tx.run(_TOUCH, run, now_ms) > 0


async def discard(tx: Transaction, run: bytes) -> None:
    """Drop everything that a run has brought in."""
    for id_, is_install in await tx.all(_CLAIMED, run):
        await tx.run(_DROP_PAYLOADS if is_install else _DROP_EVENTS, id_)
    await release(tx, run)


async def release(tx: Transaction, run: bytes) -> None:
    """The run is over."""
    await tx.run(_RELEASE, run)


async def is_install_there(tx: Transaction, install_id: InstallId) -> bool:
    """Whether any app has this install."""
    return await tx.one(_INSTALL, install_id) is not None


async def is_user_there(tx: Transaction, user_id: UserId) -> bool:
    """Whether any app has this user, retired or not."""
    return await tx.one(_USER, user_id) is not None


async def is_fact_there(tx: Transaction, fact_id: FactId) -> bool:
    """Whether any app's ledger has this fact."""
    return await tx.one(_FACT, fact_id) is not None


async def is_external_id_there(tx: Transaction, app_id: AppId, external_id: ExternalId) -> bool:
    """Whether somebody carries an external id in an app, or its ledger ever named it."""
    sealed_id = await seal(tx, app_id, external_id)
    if await tx.one(_CARRIED, app_id, sealed_id) is not None:
        return True
    return await tx.one(_NAMED, app_id, sealed_id) is not None


async def is_anybody_there(tx: Transaction, app_id: AppId) -> bool:
    """Whether an app's ledger holds anything but changes of its policy."""
    return await tx.one(_ANYBODY, app_id) is not None


async def set_used(tx: Transaction, install_id: InstallId) -> None:
    """The install has uploaded."""
    await tx.run(_SET_USED, install_id)

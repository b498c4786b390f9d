"""Mending: single rows are written as they are proved to be (`flow/verify/repair.py`); nothing else writes so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unbroken.store.inspection import EXTERNAL_ID, INSTALL, SPAN, USER, columns
from unbroken.store.saving import CARRY, RELEASE
from unbroken.store.sealed import Damaged, seal, seal_if_any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.domain.ids import AppId, InstallId, UserId
    from unbroken.store.contract import Transaction


def _assignments(names: Sequence[str]) -> str:
    return ", ".join(f"{columns((name,))} = ${place}" for place, name in enumerate(names, 2))


_SET_INSTALL: Final = f"UPDATE installs SET {_assignments(INSTALL)} WHERE install_id = $1"
_SET_USER: Final = f"UPDATE users SET {_assignments(USER)} WHERE user_id = $1"
_DROP_SPANS: Final = "DELETE FROM spans WHERE install_id = $1"
_ADD_SPAN: Final = (
    f"INSERT INTO spans (install_id, from_ms, {', '.join(SPAN)})"
    f" VALUES ($1, $2, {', '.join(f'${place}' for place in range(3, 3 + len(SPAN)))})"
)
_DROP_EVENT: Final = "DELETE FROM events WHERE user_id = $1 AND event_id = $2"
_DROP_CHECKPOINTS: Final = "DELETE FROM checkpoints WHERE user_id = $1"


async def set_install(tx: Transaction, install_id: InstallId, values: Mapping[str, Any]) -> None:
    """Write the columns `INSTALL` of an install that is there."""
    await tx.run(_SET_INSTALL, install_id, *await _sealed(tx, INSTALL, values))


async def set_user(tx: Transaction, user_id: UserId, values: Mapping[str, Any]) -> None:
    """Write the columns `USER` of a user that is there."""
    await tx.run(_SET_USER, user_id, *await _sealed(tx, USER, values))


async def _sealed(tx: Transaction, names: Sequence[str], values: Mapping[str, Any]) -> list[Any]:
    sealed_id = await seal_if_any(tx, values["app_id"], values[EXTERNAL_ID])
    return [sealed_id if name == EXTERNAL_ID else values[name] for name in names]


async def set_carrier(tx: Transaction, app_id: AppId, external_id: str, user_id: bytes | None) -> None:
    """Let a user carry an external id, or nobody."""
    sealed_id = external_id.raw if isinstance(external_id, Damaged) else await seal(tx, app_id, external_id)
    if user_id is None:
        await tx.run(RELEASE, app_id, sealed_id)
    else:
        await tx.run(CARRY, app_id, sealed_id, user_id)


async def set_spans(tx: Transaction, install_id: InstallId, spans: Mapping[int, Mapping[str, Any]]) -> None:
    """Replace all spans of an install: by their beginnings, the columns `SPAN`."""
    await tx.run(_DROP_SPANS, install_id)
    await tx.many(
        _ADD_SPAN,
        [(install_id, from_ms, *(spans[from_ms][column] for column in SPAN)) for from_ms in sorted(spans)],
    )


async def drop_event(tx: Transaction, user_id: UserId, event_id: str) -> None:
    """Delete an event, without a trace."""
    await tx.run(_DROP_EVENT, user_id, event_id)


async def drop_checkpoints(tx: Transaction, user_id: UserId) -> None:
    """Delete all checkpoints of a user."""
    await tx.run(_DROP_CHECKPOINTS, user_id)

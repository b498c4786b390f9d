"""Apps as rows, their secrets and policies; and what holds of an app and a key in one statement."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import App, Policy, policy_of, written
from unbroken.domain.ids import AppId
from unbroken.store import sealed

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_APP: Final = "SELECT app_id, name, is_disabled, policy FROM apps"
_APP_BY_ID: Final = f"{_APP} WHERE app_id = $1"
_APP_IN_FORCE: Final = (
    "SELECT a.app_id, a.name, a.is_disabled, a.policy, (SELECT f.at FROM facts f WHERE f.app_id = $1"
    " AND f.kind = 'policy changed' ORDER BY f.position DESC LIMIT 1),"
    f" (SELECT k.revoked_at FROM api_keys k WHERE k.key_id = $2), {sealed.COLUMNS}"
    " FROM apps a, sealing s WHERE a.app_id = $1"
)
_APPS: Final = f"{_APP} ORDER BY created_at, app_id"
_APP_SECRET: Final = "SELECT secret_digest FROM apps WHERE app_id = $1"  # noqa: S105 - a statement
_ADD_APP: Final = (
    "INSERT INTO apps (app_id, name, is_disabled, secret_digest, policy, created_at) VALUES ($1, $2, FALSE, $3, $4, $5)"
)
_KEEP_ANEW: Final = "UPDATE apps SET secret_digest = $3 WHERE app_id = $1 AND secret_digest = $2"
_SET_POLICY: Final = "UPDATE apps SET policy = $2 WHERE app_id = $1"
_SET_APP_DISABLED: Final = "UPDATE apps SET is_disabled = $2 WHERE app_id = $1"


async def app_by_id(tx: Transaction, app_id: AppId) -> App | None:
    """One app."""
    row = await tx.one(_APP_BY_ID, app_id)
    return _app(row) if row else None


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds of an app and one of its keys in a transaction.

    Args:
        policy_since: when the policy was decided; 0 where it is the one that the app came with.
        is_revoked: the key was revoked.
    """

    app: App
    policy_since: int
    is_revoked: bool


async def in_force(tx: Transaction, app_id: AppId, key_id: bytes) -> InForce | None:
    """One app, and one of its keys; any other 12 bytes are none that was revoked."""
    row = await tx.one(_APP_IN_FORCE, app_id, key_id)
    if row is None:
        return None
    sealed.know(tx, sealed.state_of(row[6:]))  # a link names an external id, and asks no statement more for it
    return InForce(_app(row[:4]), row[4] or 0, row[5] is not None)


async def every_app(tx: Transaction) -> list[App]:
    """Every app, oldest first."""
    return [_app(row) for row in await tx.all(_APPS)]


async def app_secret_digest(tx: Transaction, app_id: AppId) -> bytes | None:
    """The keyed digest of an app's secret."""
    row = await tx.one(_APP_SECRET, app_id)
    return bytes(row[0]) if row else None


async def add_app(tx: Transaction, app: App, secret_digest: bytes, created_at: int) -> None:
    """Write a new app."""
    await tx.run(_ADD_APP, app.app_id, app.name, secret_digest, _policy_text(app.policy), created_at)


async def keep_app_secret(tx: Transaction, app_id: AppId, before: bytes, digest: bytes) -> None:
    """Keep an app's secret under another pepper."""
    await tx.run(_KEEP_ANEW, app_id, before, digest)


async def set_policy(tx: Transaction, app_id: AppId, policy: Policy) -> None:
    """Replace an app's policy."""
    await tx.run(_SET_POLICY, app_id, _policy_text(policy))


async def set_app_disabled(tx: Transaction, app_id: AppId, *, is_disabled: bool) -> None:
    """Stop an app, or let it go on."""
    await tx.run(_SET_APP_DISABLED, app_id, is_disabled)


def _policy_text(policy: Policy) -> str:
    return json.dumps(written(policy))


def _app(row: tuple[Any, ...]) -> App:
    return App(AppId(row[0]), row[1], bool(row[2]), _policy(row[3]))


@lru_cache(maxsize=1024)  # each call reads its app twice, and a policy seldom changes
def _policy(text: str) -> Policy:
    return policy_of(json.loads(text))

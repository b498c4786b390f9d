"""The API keys of an app: make, list and end them. Replacing one without an interruption is in `rotate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.credentials import SECRET_BYTES, Kind, write_opaque
from unbroken.domain.app import Scope
from unbroken.domain.errors import Conflict, InvalidRequest, NotFound
from unbroken.domain.ids import AppId, KeyId
from unbroken.domain.payload import DAY_MS
from unbroken.flow import audit
from unbroken.flow.administer import OPERATOR, check_name, existing_app
from unbroken.flow.audit import Event, What
from unbroken.store import api_keys, standing_changes
from unbroken.store.api_keys import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

KEY_LIFE_MAX_DAYS: Final = 365
KEYS_MAX: Final = 10
"""In force at once in an app, those with a successor apart."""

IN_FORCE_MAX: Final = 2 * KEYS_MAX
"""The same with them (docs/decisions/0037)."""


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new API key, shown this once."""

    key_id: KeyId
    api_key: str
    expires_at_ms: int


async def create_key(
    context: Context, app_id: AppId, name: str, scopes: Sequence[Scope], expires_days: int = KEY_LIFE_MAX_DAYS
) -> CreatedKey:
    """Create an API key.

    Raises:
        InvalidRequest: no scope, or a life that is not 1 to 365 days.
        Conflict: the app has ten keys that are in force and have no successor, or twenty in force.
        NotFound.
    """
    check_name(name)
    if not scopes:
        raise InvalidRequest.at("scope", f"A key needs at least one scope: {', '.join(Scope)}.")
    if not 1 <= expires_days <= KEY_LIFE_MAX_DAYS:
        raise InvalidRequest.at("expires_days", f"A key lives 1 to {KEY_LIFE_MAX_DAYS} days.")
    now_ms = context.wall.now_ms()
    made = make_key(context, now_ms, expires_days)

    async def add(tx: Transaction) -> None:
        await existing_app(tx, app_id)
        await add_key(context, tx, Key(made.key_id, app_id, name, frozenset(scopes), now_ms, made.expires_at_ms), made)
        audit.note(context, tx, Event(What.KEY_CREATED, OPERATOR, app_id, more={"key": made.key_id.hex()}))

    await context.store.write(add)
    return made


def make_key(context: Context, now_ms: int, expires_days: int) -> CreatedKey:
    """A new key that nobody knows of yet."""
    key_id = KeyId(context.randomness.id("key", now_ms))
    text = write_opaque(Kind.API_KEY, key_id, context.randomness.secret(SECRET_BYTES))
    return CreatedKey(key_id, text, now_ms + expires_days * DAY_MS)


async def add_key(context: Context, tx: Transaction, key: Key, made: CreatedKey) -> None:
    """Write a new key.

    Raises:
        Conflict: the app has ten keys that are in force and have no successor, or twenty in force.
    """
    in_force = [one for one in await api_keys.keys_of_app(tx, key.app_id) if is_in_force(one, key.created_at)]
    if sum(one.successor is None for one in in_force) >= KEYS_MAX:
        raise Conflict(f"The app has {KEYS_MAX} keys that are in force and have no successor; revoke one first.")
    if len(in_force) >= IN_FORCE_MAX:
        raise Conflict(f"The app has {IN_FORCE_MAX} keys that are in force; revoke one that was rotated first.")
    await api_keys.add_key(tx, key, context.vault.digest(made.api_key))


def is_in_force(key: Key, now_ms: int) -> bool:
    """Whether a key is neither revoked nor expired."""
    return key.revoked_at is None and key.expires_at > now_ms


async def list_keys(context: Context, app_id: AppId) -> list[Key]:
    """Every key an app ever had.

    Raises:
        NotFound.
    """

    async def load(tx: Transaction) -> list[Key]:
        await existing_app(tx, app_id)
        return await api_keys.keys_of_app(tx, app_id)

    return await context.store.read(load)


async def revoke_key(context: Context, key_id: KeyId) -> Key:
    """End a key at once; saying it again changes nothing.

    Raises:
        NotFound.
    """

    async def end(tx: Transaction) -> Key:
        key = await existing_key(tx, key_id)
        await end_key(context, tx, key, OPERATOR)
        return await existing_key(tx, key_id)

    return await context.store.write(end)


async def existing_key(tx: Transaction, key_id: KeyId) -> Key:
    """A key of any app.

    Raises:
        NotFound.
    """
    found = await api_keys.key_by_id(tx, key_id)
    if found is None:
        raise NotFound(f"There is no key {key_id.hex()}.")
    return found[0]


async def end_key(context: Context, tx: Transaction, key: Key, actor: str) -> bool:
    """Revoke a key in this transaction; whether it was not yet."""
    if not await api_keys.revoke_key(tx, key.key_id, context.wall.now_ms()):
        return False
    await standing_changes.add_change_of_apps(tx, context.clock.now_ms())
    audit.note(context, tx, Event(What.KEY_REVOKED, actor, key.app_id, more={"key": key.key_id.hex()}))
    return True

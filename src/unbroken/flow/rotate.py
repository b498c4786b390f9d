"""Rotate: a key gets a successor, and ends when both have been in force for a while, in which callers change over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import Conflict, InvalidRequest
from unbroken.domain.payload import DAY_MS
from unbroken.flow import audit
from unbroken.flow.administer import OPERATOR
from unbroken.flow.audit import Event, What
from unbroken.flow.keys import (
    KEY_LIFE_MAX_DAYS,
    CreatedKey,
    add_key,
    end_key,
    existing_key,
    is_in_force,
    make_key,
)
from unbroken.store import api_keys, standing_changes
from unbroken.store.api_keys import Key

if TYPE_CHECKING:
    from unbroken.domain.ids import KeyId
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

OVERLAP_DAYS: Final = 7
OVERLAP_MAX_DAYS: Final = 30


async def rotate_key(
    context: Context, key_id: KeyId, *, overlap_days: int = OVERLAP_DAYS, expires_days: int = KEY_LIFE_MAX_DAYS
) -> CreatedKey:
    """Create the successor of a key, with its name and scopes. The old one ends after the overlap, or when it would.

    Args:
        overlap_days: 0 ends the old key at once.

    Raises:
        InvalidRequest: an overlap that is not 0 to 30 days, or a life that is not 1 to 365.
        Conflict: the key has ended or has a successor already, or ten others have none, or twenty are in force.
        NotFound.
    """
    _refuse_beyond("overlap_days", overlap_days, 0, OVERLAP_MAX_DAYS)
    _refuse_beyond("expires_days", expires_days, 1, KEY_LIFE_MAX_DAYS)
    now_ms = context.wall.now_ms()
    made = make_key(context, now_ms, expires_days)

    async def rotate(tx: Transaction) -> None:
        old = await existing_key(tx, key_id)
        _refuse_ended(old, now_ms)
        ends_at = min(old.expires_at, now_ms + overlap_days * DAY_MS)
        await api_keys.rotate_key(tx, key_id, now_ms, made.key_id, max(ends_at, old.created_at + 1))
        await add_key(context, tx, Key(made.key_id, old.app_id, old.name, old.scopes, now_ms, made.expires_at_ms), made)
        await standing_changes.add_change_of_apps(tx, context.clock.now_ms())
        keys = {"key": key_id.hex(), "successor": made.key_id.hex()}
        audit.note(context, tx, Event(What.KEY_ROTATED, OPERATOR, old.app_id, more=keys))
        if overlap_days == 0:
            await end_key(context, tx, old, OPERATOR)  # as only a revocation stops calls that are under way

    await context.store.write(rotate)
    return made


def _refuse_beyond(name: str, days: int, least: int, most: int) -> None:
    if not least <= days <= most:
        raise InvalidRequest.at(name, f"{name} is a whole number from {least} to {most}.")


def _refuse_ended(key: Key, now_ms: int) -> None:
    if not is_in_force(key, now_ms):
        raise Conflict("The key has ended: create another one.")
    if key.successor is not None:
        raise Conflict(f"The key has a successor already: {key.successor.hex()}.")


async def keys_ending(context: Context, within_ms: int) -> list[Key]:
    """The keys in force, of all apps, that have no successor and end soon; the first to end first."""
    now_ms = context.wall.now_ms()
    return await context.store.read(lambda tx: api_keys.keys_ending(tx, now_ms, now_ms + within_ms))

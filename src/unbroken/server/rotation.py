"""Rotation of the platform's own keys: in keys.json and in the database, while servers work on (decision 0025)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from unbroken.domain.errors import Conflict
from unbroken.flow import audit
from unbroken.flow.administer import OPERATOR
from unbroken.flow.audit import Event, What
from unbroken.flow.pace import Pace
from unbroken.server import keys
from unbroken.store import earlier_peppers, resealing, sealed

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation has come to.

    Args:
        key_no: the new key.
        is_to_copy: nothing uses it yet: keys.json must be brought to the other servers first.
        resealed: how many texts were sealed anew.
        dropped: numbers of the keys that were taken out of keys.json.
    """

    key_no: int
    is_to_copy: bool
    resealed: int = 0
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Peppered:
    """What a rotation of the pepper has come to.

    Args:
        pepper_no: the one that secrets are kept under, or are to be.
        is_used: they are, by servers on this data directory.
        is_to_copy: keys.json must be brought to the other servers now.
        left: how many secrets in force are under an earlier one yet, by kind.
        dropped: numbers of the peppers under which nothing is accepted any more.
    """

    pepper_no: int
    is_used: bool
    is_to_copy: bool
    left: dict[str, int]
    dropped: tuple[int, ...] = ()


async def rotate_pepper(context: Context, data: Path, *, is_shared: bool, is_copied: bool) -> Peppered:
    """Keep secrets under a new pepper from now on; those that are there stay valid, and move when they are shown.

    A server learns both from its own keys.json: that a pepper is accepted, and then that it is used.

    Raises:
        Conflict: it is said to be on every server, and there is none.
    """
    if is_shared and is_copied and not keys.has_another_pepper(data):
        raise _nothing_copied("pepper")
    number = keys.add_pepper(data, context.randomness)
    if not is_shared or is_copied:
        keys.use_pepper(data, number)
        return Peppered(number, is_used=True, is_to_copy=is_shared, left=await _left(context, number))
    return Peppered(number, is_used=False, is_to_copy=True, left={})


async def finish_pepper(context: Context, data: Path, *, by_force: bool) -> Peppered:
    """Let go of earlier peppers, if no secret in force needs one, or in any case."""
    assert context.vault.peppers is not None, "keys.json gives them"
    number = context.vault.peppers().number
    left = await _left(context, number)
    dropped = keys.drop_peppers(data) if by_force or not any(left.values()) else []
    return Peppered(number, is_used=True, is_to_copy=False, left=left, dropped=tuple(dropped))


async def _left(context: Context, number: int) -> dict[str, int]:
    if number == 1:
        return {}
    wall_ms, now_ms = context.wall.now_ms(), context.clock.now_ms()
    return await context.store.read_long(lambda tx: earlier_peppers.left(tx, number, wall_ms=wall_ms, now_ms=now_ms))


async def rotate_external_ids(context: Context, data: Path, *, is_shared: bool, is_copied: bool) -> Rotated:
    """Seal every external id under a new key, or go on with a rotation that did not end.

    Args:
        is_shared: servers with data directories of their own may work on the database.
        is_copied: those have the new key already.

    Raises:
        Conflict: the new key is said to be on every server, and there is none.
        StoreUnavailable: the database cannot be written to now; the same call goes on where it was.
    """
    state = await context.store.read(sealed.in_force)
    number = state.key_no
    if state.old_key_no is None:
        if is_shared and is_copied and not keys.has_external_id_key_after(data, number):
            raise _nothing_copied("external-ids")
        number = keys.add_external_id_key(data, context.randomness, state.key_no)
        if is_shared and not is_copied:
            return Rotated(number, is_to_copy=True)
        await context.store.write(lambda tx: _begin(context, tx, number))
    pace = Pace(_SHARE)
    pace.begin()
    ended = partial(_note, context, What.SEALING_ENDED)
    resealed = await resealing.go_on(context.store.behind(), pace.rest, ended)
    return Rotated(number, is_to_copy=False, resealed=resealed)


def _nothing_copied(what: str) -> Conflict:
    """One made now would be used at once, and no other server had it; nor would two hosts make the same."""
    return Conflict(
        "keys.json has nothing that is not in use yet, so nothing can have been copied. Was this called before?",
        hint=f"To begin: unbroken rotate {what}, without --copied, on one host.",
    )


async def _begin(context: Context, tx: Transaction, number: int) -> None:
    if await resealing.begin(tx, number):
        _note(context, What.SEALING_BEGUN, tx, number)


async def finish_external_ids(context: Context, data: Path) -> Rotated:
    """Take the earlier keys out of keys.json: nothing in the database needs them, but a backup from before would.

    Raises:
        Conflict: something in the database may need them.
    """
    number = await context.store.read_long(resealing.not_needed)
    if number is None:
        raise Conflict("Something is sealed under an earlier key yet. Run: unbroken rotate external-ids")

    async def note(tx: Transaction) -> None:
        _note(context, What.SEALING_KEYS_DROPPED, tx, number)

    await context.store.write(note)
    return Rotated(number, is_to_copy=False, dropped=tuple(keys.drop_external_id_keys(data, number)))


def _note(context: Context, what: What, tx: Transaction, number: int) -> None:
    audit.note(context, tx, Event(what, OPERATOR, more={"key_no": number}))

"""Repeated calls: the same key with the same body gets the first answer (http-api.md, `Idempotency-Key`).

The answer is kept in the transaction that holds its effect. A refusal has no effect to go with, so it is kept after;
those that may end differently another time (401, 403, 429, 5xx) are not kept at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.errors import IdempotencyKeyReused, Refusal
from unbroken.store import idempotency
from unbroken.store.idempotency import Kept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.domain.ids import UserId
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

R = TypeVar("R")
T = TypeVar("T", bound=msgspec.Struct)

KEPT_MS: Final = 24 * 3_600_000
_KEPT_REFUSALS: Final = (errors.BadRequest, errors.NotThere, errors.InConflict)
_REFUSED: Final = 1
_DONE: Final = 0


@dataclass(frozen=True, slots=True)
class Repeatable:
    """What makes two calls the same one: whose key, which key, and the body it came with."""

    caller: bytes
    key: str
    body_hash: bytes


class _KeptRefusal(msgspec.Struct):
    code: str
    message: str
    hint: str | None
    details: tuple[tuple[str, str], ...]
    is_gone: bool


async def once(
    context: Context,
    same: Repeatable | None,
    reply: type[T],
    call: Callable[[Transaction], Awaitable[tuple[T, UserId | None]]],
    *,
    beside: bool = False,
) -> T:
    """The answer of `call`, made once for each `same`; the second half of what it returns is whom the answer is about.

    Args:
        beside: the call holds what it touches, and says so first (`Transaction.hold`).

    Raises:
        Refusal: the call's, or the kept one; IdempotencyKeyReused.
    """
    if same is None:
        return (await context.store.write(call))[0]
    forms = _as_kept(context, same)
    now = forms[0]

    async def attempt(tx: Transaction) -> T:
        await tx.hold(now.caller + now.key.encode(), beside=beside)
        found = await _find(context, tx, forms)
        if found is not None:
            return _answer(*found, reply)
        answer, user_id = await call(tx)
        await _keep(context, tx, now, Kept(now.body_hash, _DONE, wire.encode(answer)), user_id)
        return answer

    return await _write(context, same, attempt)


async def anew(context: Context, same: Repeatable | None, call: Callable[[Transaction], Awaitable[R]]) -> R:
    """The answer of `call`, which is a secret and so made anew each time; a refusal is kept as `once` keeps it.

    Raises:
        Refusal: the call's, or the kept one; IdempotencyKeyReused.
    """
    if same is None:
        return await context.store.write(call)
    known = same

    async def attempt(tx: Transaction) -> R:
        await refuse_another_body(context, tx, known)
        return await call(tx)

    return await _write(context, known, attempt)


async def _write(context: Context, same: Repeatable, attempt: Callable[[Transaction], Awaitable[R]]) -> R:
    """Write, and keep what is refused as the answer to the call."""
    try:
        return await context.store.write(attempt)
    except _KEPT_REFUSALS as refusal:
        await _keep_refusal(context, _as_kept(context, same), refusal)
        raise


async def refuse_another_body(context: Context, tx: Transaction, same: Repeatable) -> None:
    """For calls that repeat by their own nature, or whose answer is a secret: only the body is held against the key.

    Raises:
        Refusal: the one that is kept; IdempotencyKeyReused.
    """
    forms = _as_kept(context, same)
    found = await _find(context, tx, forms)
    if found is None:
        await _keep(context, tx, forms[0], Kept(forms[0].body_hash, _DONE, b""), None)
    else:
        _refuse_as_kept(*found)


def _as_kept(context: Context, same: Repeatable) -> list[Repeatable]:
    """Keyed hashes of what the caller wrote: a key and a body may hold an external id, and outlive its person.

    Under each pepper that it may be kept under, the present one first.
    """
    keys, bodies = context.vault.digest(same.key).every, context.vault.digest(same.body_hash.hex()).every
    return [Repeatable(same.caller, key.hex(), body) for key, body in zip(keys, bodies, strict=True)]


async def _find(context: Context, tx: Transaction, forms: list[Repeatable]) -> tuple[Kept, Repeatable] | None:
    since_ms = context.clock.now_ms() - KEPT_MS
    for same in forms:
        kept = await idempotency.kept_answer(tx, same.caller, same.key, since_ms)
        if kept is not None:
            return kept, same
    return None


def _answer(kept: Kept, same: Repeatable, reply: type[T]) -> T:
    _refuse_as_kept(kept, same)
    return wire.decode(kept.reply, reply)


def _refuse_as_kept(kept: Kept, same: Repeatable) -> None:
    """Let nothing pass but the same body that was not refused."""
    if kept.body_hash != same.body_hash:
        raise IdempotencyKeyReused
    if kept.status == _REFUSED:
        raise _revive(wire.decode(kept.reply, _KeptRefusal))


async def _keep(context: Context, tx: Transaction, same: Repeatable, kept: Kept, user_id: UserId | None) -> None:
    await idempotency.keep_answer(tx, same.caller, same.key, kept, context.clock.now_ms(), user_id)


async def _keep_refusal(context: Context, forms: list[Repeatable], refusal: Refusal) -> None:
    """Unless an answer is kept already: then the refusal was that answer, or says that the key was used before."""
    is_gone = isinstance(refusal, errors.InstallGone)
    text = _KeptRefusal(refusal.code, refusal.message, refusal.hint, refusal.details, is_gone)

    async def keep(tx: Transaction) -> None:
        if await _find(context, tx, forms) is None:
            await _keep(context, tx, forms[0], Kept(forms[0].body_hash, _REFUSED, wire.encode(text)), None)

    await context.store.write(keep)


def _revive(kept: _KeptRefusal) -> Refusal:
    leaf: Any = errors.by_code(kept.code, 410 if kept.is_gone else 403)
    refusal: Refusal = leaf(kept.message, hint=kept.hint, details=kept.details)
    return refusal

"""Rename: a person carries another external id; the older ones stay aliases that nobody else can take.

With `release_old` they are freed, for recycled e-mail addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.errors import InvalidExternalId, UserDisabled
from unbroken.domain.ids import UserId
from unbroken.domain.ledger.facts import Renamed
from unbroken.flow.dry_run import once_or_tried
from unbroken.flow.recording import Recording
from unbroken.flow.whose import person
from unbroken.store import identity

if TYPE_CHECKING:
    from unbroken.domain.ids import ExternalId
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.operate import Order
    from unbroken.store.contract import Transaction


async def rename(context: Context, caller: KeyCaller, user_id: str, body: wire.Rename, order: Order) -> wire.Renamed:
    """PUT /v3/users/{user_id}/external_id; said again, no change.

    Raises:
        InvalidExternalId, NotFound, UserDisabled, IdempotencyKeyReused.
        Conflict: somebody else carries that id, or this user carries none yet.
    """

    async def write(tx: Transaction) -> tuple[wire.Renamed, UserId | None]:
        recording = await Recording.of_key(context.tried(order.dry_run), tx, caller, order.reason)
        external_id = recording.app.policy.external_id_of(body.external_id)
        answer = await _rename(recording, caller, user_id, external_id, release_old=body.release_old)
        return answer, UserId(bytes.fromhex(answer.id))

    return await once_or_tried(context, order.same, wire.Renamed, write, dry_run=order.dry_run)


async def _rename(
    recording: Recording, caller: KeyCaller, user_id: str, external_id: ExternalId | None, *, release_old: bool
) -> wire.Renamed:
    if external_id is None:
        raise InvalidExternalId
    user = (await person(recording.tx, caller, user_id)).user
    if user.is_disabled:
        raise UserDisabled
    people, named = recording.people, await recording.load_named(user_id)
    carried = await identity.external_ids_of(recording.tx, recording.app_id, user.user_id)
    people.carriers |= dict.fromkeys(carried, user.user_id)
    await recording.load_carrier(external_id)
    if user.external_id != external_id or (release_old and len(carried) > 1):
        said = Renamed(named, external_id, release_old)
        touched = [user.touched_at, *await recording.touched_before(external_id)]
        await recording.record_if_allowed(said, named=[user.named_at], touched=touched)
        await recording.save()
    names = sorted(name for name, carrier in people.carriers.items() if carrier == user.user_id)
    return wire.Renamed(
        user.user_id.hex(), external_id, [external_id, *(name for name in names if name != external_id)]
    )

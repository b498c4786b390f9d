"""Operate: changes made on purpose: activate an install, disable and enable installs and users.

Each is a fact like any other; the fold says what follows (linking.md, states of an install).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unbroken import wire
from unbroken.domain.errors import NotFound
from unbroken.domain.ids import InstallId, UserId, parse_id
from unbroken.domain.ledger.facts import Activated, Disabled, Enabled, UserDisabled, UserEnabled
from unbroken.domain.standing import REASONS, STATES, Standing
from unbroken.flow.dry_run import once_or_tried
from unbroken.flow.recording import Recording
from unbroken.flow.summary import look, summary_of
from unbroken.flow.timeline import compute_due
from unbroken.flow.whose import person

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.domain.ledger.facts import Said
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.repeat import Repeatable
    from unbroken.flow.timeline_rows import Rewritten
    from unbroken.store.contract import Transaction

Wanted = Literal["enabled", "disabled"]


@dataclass(frozen=True, slots=True)
class Order:
    """How a change is asked for.

    Args:
        reason: why, in the operator's words; kept with the fact.
        dry_run: do everything, tell what differs, let nothing stay.
        same: the call's idempotency.
    """

    reason: str | None = None
    dry_run: bool = False
    same: Repeatable | None = None


async def activate(context: Context, caller: KeyCaller, install_id: str, order: Order) -> wire.Changed:
    """POST /v3/installs/{install_id}/activate: make it the active one; of the active one, no change.

    Raises:
        NotFound, Conflict (it is disabled), InstallDeleted, IdempotencyKeyReused.
    """

    async def change(recording: Recording) -> wire.Changed:
        install = await _load_install(recording, install_id)
        is_active = recording.standing(install) is Standing.ACTIVE
        return await _record(recording, None if is_active else Activated(install), install=install)

    return await _ordered(context, caller, order, change)


async def set_install_state(
    context: Context, caller: KeyCaller, install_id: str, wanted: Wanted, order: Order
) -> wire.Changed:
    """PUT /v3/installs/{install_id}/state: disable it, or let it go on; said again, no change.

    Raises:
        NotFound, InstallDeleted, IdempotencyKeyReused.
    """

    async def change(recording: Recording) -> wire.Changed:
        install = await _load_install(recording, install_id)
        wants_disabled = wanted == "disabled"
        is_so = recording.people.install(install).is_disabled == wants_disabled
        if is_so and recording.standing(install) is not Standing.DELETED:
            return await _record(recording, None, install=install)
        return await _record(recording, Disabled(install) if wants_disabled else Enabled(install), install=install)

    return await _ordered(context, caller, order, change)


async def set_user_state(
    context: Context, caller: KeyCaller, user_id: str, wanted: Wanted, order: Order
) -> wire.Changed:
    """PUT /v3/users/{user_id}/state: stop all installs of a person, or let them go on; said again, no change.

    Raises:
        NotFound, IdempotencyKeyReused.
    """

    async def change(recording: Recording) -> wire.Changed:
        user = (await person(recording.tx, caller, user_id)).user
        named = await recording.load_named(user_id)
        await recording.load_installs_of(user.user_id)
        wants_disabled = wanted == "disabled"
        if user.is_disabled == wants_disabled:
            return await _record(recording, None, user=user.user_id)
        said = UserDisabled(named) if wants_disabled else UserEnabled(named)
        return await _record(recording, said, user=user.user_id)

    return await _ordered(context, caller, order, change)


async def _ordered(
    context: Context, caller: KeyCaller, order: Order, change: Callable[[Recording], Awaitable[wire.Changed]]
) -> wire.Changed:
    async def write(tx: Transaction) -> tuple[wire.Changed, UserId | None]:
        recording = await Recording.of_key(context.tried(order.dry_run), tx, caller, order.reason)
        answer = await change(recording)
        return answer, UserId(bytes.fromhex(answer.user_id))

    return await once_or_tried(context, order.same, wire.Changed, write, dry_run=order.dry_run)


async def _load_install(recording: Recording, install_id: str) -> InstallId:
    """The install, with all the others of its user: one of them may follow."""
    known = parse_id(install_id)
    install = await recording.load_install(InstallId(known)) if known is not None else None
    if install is None:
        raise NotFound
    await recording.load_installs_of(install.user)
    return install.install_id


async def _record(
    recording: Recording, said: Said | None, *, install: InstallId | None = None, user: UserId | None = None
) -> wire.Changed:
    """Record the fact, where one is needed, and bring the timelines up to date with it."""
    people, tx = recording.people, recording.tx
    user_id = people.resolve(people.install(install).user if install is not None else user or UserId(b"")).user_id
    before = await look(tx, recording.app_id, people.installs)
    rewritten: dict[UserId, Rewritten] = {}
    if said is not None:
        named = people.install(install).named_at if install is not None else people.users[user_id].named_at
        await recording.record_if_allowed(said, named=[named], touched=[people.users[user_id].touched_at])
        await recording.save()
        rewritten = await compute_due(tx, [user_id])
    after = await look(tx, recording.app_id, people.installs)
    return _answer(recording, install, user_id, summary_of(before, after, rewritten))


def _answer(recording: Recording, install: InstallId | None, user_id: UserId, summary: wire.Summary) -> wire.Changed:
    if install is None:
        is_disabled = recording.people.users[user_id].is_disabled
        reason = REASONS[Standing.USER_DISABLED] if is_disabled else None
        return wire.Changed(user_id.hex(), None, "disabled" if is_disabled else "enabled", reason, summary)
    standing = recording.standing(install)
    return wire.Changed(user_id.hex(), install.hex(), STATES[standing].value, REASONS[standing], summary)

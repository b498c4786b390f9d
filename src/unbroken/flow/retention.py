"""Retention: payloads whose time is over are deleted, and every timeline stays as it is.

Timelines outlive the payloads they were made from. So before the first payload of an install goes, its user's fold is
carried on to a **floor**, an instant before which nothing can change any more, and its state there is kept: whatever
is computed later goes on from the floor, and the events before it stay as they were told. That this is exact rests on
one order of instants, which `refuse_policy` and `cutoff_of` keep for every app:

    receipt of what is deleted  <  cutoff  <  floor = cutoff + 1 day  <  now - late window

Nothing accepted was captured later than ten minutes after its receipt, so all that counted in a deleted payload lies
before the floor; nothing captured before the floor can still be accepted, so no late item misses it. (The day between
is for copies: a phone that sent an item twice, under clocks a day apart, and of which only one copy is left, is the one
case in which that item could count twice.)

`now` is no clock's that has just jumped (`reckoning.py`): what was deleted by one does not come back with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.domain.payload import DAY_MS
from unbroken.domain.timeline.fold import fold
from unbroken.domain.timeline.freeze import freeze
from unbroken.flow.late_windows import windows_of
from unbroken.flow.pace import Pace
from unbroken.flow.reckoning import reckon
from unbroken.flow.timeline import items_after, last_fix, load_all
from unbroken.store import apps, dead_letters, due_timelines, replay, retention
from unbroken.store.contract import StoreError
from unbroken.store.retention import Due, Floor, Held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable
    from typing import Any

    from unbroken.domain.app import App, Policy
    from unbroken.domain.ids import AppId, InstallId, UserId
    from unbroken.domain.late_windows import LateWindows
    from unbroken.flow.context import Context
    from unbroken.flow.timeline import Loaded
    from unbroken.store.contract import Transaction

KEPT_LONGER_DAYS: Final = 2
"""How much longer than the late window payloads are kept at least."""

FLOOR_AFTER_MS: Final = DAY_MS
BACKGROUND_SHARE: Final = 0.2
_INSTALLS_AT_ONCE: Final = 500
_PAYLOADS_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Retained:
    """What retention did for one app, or would do.

    Args:
        before_ms: payloads received before it are due; the beginning of a day, UTC.
        waiting: installs that are passed over until their timeline is up to date, or can be computed at all, and no
            upload of the person is a dead letter.
    """

    app_id: AppId
    retention_days: int
    before_ms: int
    installs: int = 0
    payloads: int = 0
    size_bytes: int = 0
    oldest_ms: int | None = None
    waiting: int = 0

    def plus(self, due: Due) -> Retained:
        """With one more install."""
        oldest = [at for at in (self.oldest_ms, due.oldest_ms) if at is not None]
        return replace(
            self,
            installs=self.installs + 1,
            payloads=self.payloads + due.payloads,
            size_bytes=self.size_bytes + due.size_bytes,
            oldest_ms=min(oldest, default=None),
        )


async def retain(
    context: Context,
    app_id: AppId | None = None,
    *,
    dry_run: bool = False,
    share: float = BACKGROUND_SHARE,
    by_ms: int | None = None,
) -> list[Retained]:
    """Delete the payloads that are due, of one app or of all, a few at a time; repeating it changes nothing.

    Args:
        dry_run: only count them.
        by_ms: the time to go by, as the clock was read; it is read now if left out.
        share: of the time that this may take (`Pace`).

    Raises:
        NotFound: there is no such app.
    """
    known = await context.store.read(apps.every_app)
    if app_id is not None:
        known = [app for app in known if app.app_id == app_id]
        if not known:
            raise NotFound(f"There is no app {app_id.hex()}.")
    pace = Pace(share)
    if by_ms is None:
        by_ms = (await reckon(context, dry_run=dry_run)).deletes_by_ms
    told = []
    for app in known:
        windows = await context.store.read(_windows(app.app_id))
        told.append(await _retain_app(context, app, windows, pace, by_ms, dry_run=dry_run))
    return told


def _windows(app_id: AppId) -> Any:
    return lambda tx: windows_of(tx, app_id)


async def would_delete(context: Context, app: App, policy: Policy, share: float = BACKGROUND_SHARE) -> Retained:
    """What would be due under another policy of an app; nothing is deleted."""
    windows: LateWindows = await context.store.read(_windows(app.app_id))
    by_ms = (await reckon(context, dry_run=True)).deletes_by_ms
    if policy.late_window_days != app.policy.late_window_days:
        since_ms = await _now_ms(context, by_ms) - 1
        windows = replace(windows, changes=(*windows.changes, (since_ms, policy.late_window_days)))
    return await _retain_app(context, replace(app, policy=policy), windows, Pace(share), by_ms, dry_run=True)


async def _retain_app(
    context: Context, app: App, windows: LateWindows, pace: Pace, by_ms: int, *, dry_run: bool
) -> Retained:
    now_ms = await _now_ms(context, by_ms)
    cutoff = cutoff_of(app.policy, windows, now_ms)
    told = Retained(app.app_id, app.policy.retention_days, cutoff)
    async for held in _installs_due(context, app.app_id, cutoff, now_ms, pace):
        if await (_would_be_free(context, held, cutoff) if dry_run else _is_free(context, app, held, cutoff)):
            told = told.plus(await context.store.read_long(_counting(held.install_id, cutoff)))
            if not dry_run:
                await _delete(context, held.install_id, pace)
        else:
            told = replace(told, waiting=told.waiting + 1)
        await pace.rest()
    return told


async def _now_ms(context: Context, by_ms: int) -> int:
    """The time to go by; what waits in the payload log must still find its place, so its oldest holds it back."""
    waiting = await context.store.read_long(context.log.oldest)
    return min([by_ms, *([] if waiting is None else [waiting])])


def cutoff_of(policy: Policy, windows: LateWindows, now_ms: int) -> int:
    """Payloads received before it are due: whole days, UTC, so that each install is looked after once a day.

    They are kept longer than items may come late, whatever `retention_days` says: a late item must not belong to a time
    of which too little is known.
    """
    days = max(policy.retention_days, windows.widest(now_ms) + KEPT_LONGER_DAYS)
    return max((now_ms // DAY_MS - days) * DAY_MS, 0)


async def _installs_due(context: Context, app_id: AppId, cutoff: int, now_ms: int, pace: Pace) -> AsyncIterator[Held]:
    after = b""
    pace.begin()
    while held := await context.store.read_long(_listing(app_id, after, now_ms)):
        for one in held:
            if one.oldest_ms is not None and one.oldest_ms < cutoff:
                yield one
        after = held[-1].install_id
        await pace.rest()


def _listing(app_id: AppId, after: bytes, now_ms: int) -> Any:
    return lambda tx: retention.installs(tx, app_id, after, _INSTALLS_AT_ONCE, now_ms)


def _counting(install_id: InstallId, cutoff: int) -> Any:
    return lambda tx: retention.count(tx, install_id, cutoff)


async def _delete(context: Context, install_id: InstallId, pace: Pace) -> None:
    while (
        await context.store.write(lambda tx: retention.delete(tx, install_id, _PAYLOADS_AT_ONCE)) == _PAYLOADS_AT_ONCE
    ):
        await pace.rest()


# Floors


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a new floor is computed from; `loaded` is None where it is there already."""

    inputs: list[Any]
    loaded: Loaded | None


async def _would_be_free(context: Context, held: Held, cutoff: int) -> bool:
    """Whether the payloads of an install might go, without computing a floor."""
    return not await context.store.read(lambda tx: _is_due(tx, held.user_id, cutoff + FLOOR_AFTER_MS))


async def _is_free(context: Context, app: App, held: Held, cutoff: int) -> bool:
    """Whether the install's payloads may go; where no floor can be computed, the worker is to meet that and tell."""
    try:
        return await _carry_floor(context, app, held, cutoff)
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - damaged data fails in any way, and concerns one person
        await context.store.write(lambda tx: due_timelines.mark(tx, held.user_id, 0))
        return False


async def _carry_floor(context: Context, app: App, held: Held, cutoff: int) -> bool:
    """Carry the user's floor on and let the install's payloads go; False where the timeline is not up to date."""
    floor_ms = cutoff + FLOOR_AFTER_MS
    seen = await context.store.read_long(lambda tx: _look(tx, held.user_id, floor_ms))
    if seen is None:
        return False
    floor = None if seen.loaded is None else await asyncio.to_thread(_floor_of, seen.loaded, floor_ms)

    async def settle(tx: Transaction) -> bool:
        now = await apps.app_by_id(tx, app.app_id)
        if now is None or now.policy != app.policy or await _is_due(tx, held.user_id, floor_ms):
            return False
        if await replay.inputs(tx, held.user_id) != seen.inputs:
            return False
        if floor is not None:
            await retention.set_floor(tx, held.user_id, floor)
        await retention.raise_kept_from(tx, held.install_id, cutoff)
        return True

    return await context.store.write(settle)


async def _look(tx: Transaction, user_id: UserId, floor_ms: int) -> _Seen | None:
    if await _is_due(tx, user_id, floor_ms):
        return None
    inputs = await replay.inputs(tx, user_id)
    floor = await retention.floor(tx, user_id)
    if floor is not None and floor.at_ms >= floor_ms:
        return _Seen(inputs, None)
    loaded = await load_all(tx, user_id, to_ms=floor_ms)
    return _Seen(inputs, loaded) if loaded is not None else None


async def _is_due(tx: Transaction, user_id: UserId, floor_ms: int) -> bool:
    """Whether events before the floor are still to be computed; once it is there, they would stay as they are.

    A dead letter may hold some of any time, and is tried again whenever the operator likes.
    """
    if await dead_letters.is_any_of(tx, user_id):
        return True
    return any(due.from_ms <= floor_ms for due in await due_timelines.due_of(tx, [user_id]))


def _floor_of(loaded: Loaded, floor_ms: int) -> Floor:
    items = [item for item in items_after(loaded, loaded.cursor_ms) if item.at_ms <= floor_ms]
    before = loaded.floor.last_fix if loaded.floor is not None else None
    return Floor(floor_ms, freeze(fold(loaded.state, items).state), last_fix(items, loaded.zones) or before)


# What others ask


async def is_kept_since(tx: Transaction, install_ids: Collection[InstallId], at_ms: int) -> bool:
    """Whether all that some installs captured at `at_ms` or later can still be judged otherwise, or left out.

    Every payload that holds any of it must be there, and none of it may be known to a floor already.
    """
    for install_id in install_ids:
        floor_ms = await retention.floor_over(tx, install_id)
        if floor_ms is not None and at_ms <= floor_ms:
            return False
    return await is_all_there_since(tx, install_ids, at_ms)


async def is_all_there_since(tx: Transaction, install_ids: Iterable[InstallId], at_ms: int) -> bool:
    """Whether every payload is there that holds something which some installs captured at `at_ms` or later."""
    for install_id in install_ids:
        kept_from = await retention.kept_from(tx, install_id)
        if kept_from and at_ms <= kept_from + FLOOR_AFTER_MS:
            return False
    return True


async def is_open_since(tx: Transaction, user_id: UserId, at_ms: int) -> bool:
    """Whether a user's timeline can still be told otherwise from an instant on: its floor lies before that."""
    floor = await retention.floor(tx, user_id)
    return floor is None or at_ms > floor.at_ms


async def refuse_policy(tx: Transaction, app_id: AppId, before: Policy, after: Policy, by_ms: int) -> None:
    """Refuse a policy under which something late could be accepted that lies before a floor.

    Args:
        by_ms: the time that retention goes by: a clock ahead would let the window reach behind what is kept.

    Raises:
        InvalidRequest: a wider late window would reach behind what is kept.
    """
    if after.late_window_days > before.late_window_days:
        gone_before = await retention.latest_kept_from(tx, app_id)
        days = (by_ms - gone_before - FLOOR_AFTER_MS) // DAY_MS - 1
        if gone_before and after.late_window_days > days:
            message = (
                f"Payloads received before {wire.iso(gone_before)} are gone, so the late window can be widened to"
                f" {max(days, 0)} days today; a day later to a day more."
            )
            raise InvalidRequest(message, details=(("late_window_days", message),))

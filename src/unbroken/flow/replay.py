"""Replay: timelines are computed again from the ledger and the kept payloads, beside the ones that are served.

A replay says what differs, and under the policy in force nothing does (linking.md, law 8). Under another policy it
says what that policy would make of the past. Switching lets the replayed timelines be the ones that are served, user by
user, each in one transaction: whatever is killed when, a user has the old timeline or the new one. What a run has done
is kept, so it can be taken up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import msgspec

from unbroken import wire
from unbroken.domain.app import Policy, policy_of, written
from unbroken.domain.errors import Conflict, InvalidRequest, NotFound, Refusal
from unbroken.domain.ids import AppId, UserId
from unbroken.flow import audit
from unbroken.flow.administer import OPERATOR
from unbroken.flow.audit import Event, What
from unbroken.flow.difference import Difference, difference_of
from unbroken.flow.pace import Pace
from unbroken.flow.policies import policy_with
from unbroken.flow.replay_user import inputs, look, record, side_of, told_of
from unbroken.flow.timeline import compute
from unbroken.flow.timeline_rows import put
from unbroken.store import apps, due_timelines, identity
from unbroken.store import replay as rows
from unbroken.store.contract import StoreError
from unbroken.store.replay import Replayed, Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

SHARE: Final = 0.5
"""Of the time, so that a server on the same machine gets the other half."""

_USERS_AT_ONCE: Final = 200
_TRIES: Final = 5
_BY_FACTS: Final = "is followed when a fact is recorded"
_FOLLOWED_ONCE: Final = {
    "used_install": _BY_FACTS,
    "precedence": _BY_FACTS,
    "takeover": _BY_FACTS,
    "late_after_handover_hours": "is that of when an item came",
}
"""Policies that say something of timelines, and yet say the same however often one is computed."""

_IS_TRIED: Final = "is_tried"

Progress = Callable[[int, int], None]
"""Called with how many users are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to replay.

    Args:
        scope: the id of an app, or of one user.
        changes: the policy to try on all that ever came, as changes of the app's; None judges each item by the one
            that was in force when it came, as what is served.
        switch: let what was replayed be served.
        resume: take up the run that was left, under its policy.
    """

    scope: bytes
    changes: dict[str, str] | None = None
    switch: bool = False
    resume: bool = False


@dataclass(slots=True)
class Report:
    """What a run came to.

    Args:
        is_tried: the policy judged all that ever came; else each item was judged by the one in force when it came.
        same: users whose timeline is the same.
        differ: those whose is not, with what differs.
        switched: how many of them are served as replayed now.
        waiting: how many of them could be switched to.
        moving: users that changed faster than they could be computed; run it again.
        failed: users whose timeline cannot be computed (`setting_aside.py`).
    """

    app_id: AppId
    policy: Policy
    is_tried: bool
    same: int = 0
    differ: dict[UserId, Difference] = field(default_factory=dict)
    switched: int = 0
    waiting: int = 0
    moving: int = 0
    failed: list[UserId] = field(default_factory=list)


async def replay(context: Context, wanted: Wanted, progress: Progress | None = None, share: float = SHARE) -> Report:
    """Replay the users of an app, or one user.

    Raises:
        NotFound: there is no such app, user, or run to take up.
        InvalidRequest: the policy cannot be tried.
        Conflict: switching to a policy that is not in force, or another process took the run over.
    """
    runner = await _begin(context, wanted)
    pace = Pace(share)
    total = await context.store.read_long(runner.count)
    done = 0
    pace.begin()
    async for user_id in runner.users():
        await runner.user(user_id)
        done += 1
        if progress is not None:
            progress(done, max(total, done))
        await pace.rest()
    await runner.end(pace)
    return runner.report


async def users_of_app(context: Context, app_id: AppId) -> AsyncIterator[UserId]:
    """The users of an app that have a timeline of their own, in order of their ids."""
    after = b""
    while page := await context.store.read_long(lambda tx: rows.users(tx, app_id, after, _USERS_AT_ONCE)):  # noqa: B023
        for user_id in page:
            yield user_id
        after = page[-1]


# Runs


async def _begin(context: Context, wanted: Wanted) -> _Runner:
    holder = context.randomness.secret(12)

    async def begin(tx: Transaction) -> tuple[_Runner, Run]:
        app_id, user_id = await _whom(tx, wanted.scope)
        scope = wanted.scope if user_id is None else user_id
        app = await apps.app_by_id(tx, app_id)
        assert app is not None
        before = await rows.run(tx, scope)
        if wanted.resume and before is None:
            raise NotFound("There is no replay to take up: it has ended, or never began.")
        resumed = before.policy if wanted.resume and before else None
        policy = policy_of(resumed) if resumed else _policy(app.policy, wanted)
        is_tried = bool(resumed[_IS_TRIED]) if resumed else wanted.changes is not None
        if wanted.switch and is_tried and policy != app.policy:
            raise Conflict(
                "The replayed policy is not the one in force, so its timelines cannot be switched to.",
                hint="Set it first: unbroken app policy APP_ID KEY=VALUE...",
            )
        run = Run(app_id, written(policy) | {_IS_TRIED: is_tried}, holder)
        await rows.set_run(tx, scope, run if before is None else replace(before, holder=holder))
        report = Report(app_id, policy, is_tried)
        return _Runner(context, scope, holder, report, user_id, wanted.switch), run

    runner, run = await context.store.write(begin)
    if not wanted.resume:
        await runner.begin_anew(run, Pace(SHARE))
    return runner


async def _whom(tx: Transaction, scope: bytes) -> tuple[AppId, UserId | None]:
    if await apps.app_by_id(tx, AppId(scope)) is not None:
        return AppId(scope), None
    for app in await apps.every_app(tx):
        user = await identity.resolve_user(tx, app.app_id, UserId(scope))
        if user is not None:
            return app.app_id, user.user_id
    raise NotFound(f"There is no app and no user {scope.hex()}.")


def _policy(in_force: Policy, wanted: Wanted) -> Policy:
    policy = in_force if wanted.changes is None else policy_with(in_force, wanted.changes)
    for name, why in _FOLLOWED_ONCE.items():
        if getattr(policy, name) != getattr(in_force, name):
            raise InvalidRequest.at(name, f"{name} {why}; a replay cannot try another one.")
    return policy


class _Runner:
    """One run, in the hands of one process."""

    def __init__(
        self, context: Context, scope: bytes, holder: bytes, report: Report, user_id: UserId | None, switch: bool
    ) -> None:
        self.report = report
        self._context = context
        self._scope = scope
        self._holder = holder
        self._user_id = user_id
        self._switch = switch

    async def count(self, tx: Transaction) -> int:
        """How many users there are to be replayed."""
        return 1 if self._user_id is not None else await rows.count_users(tx, self.report.app_id)

    async def users(self) -> AsyncIterator[UserId]:
        """Whom to replay, in order of their ids; those that come to be meanwhile may be among them."""
        if self._user_id is not None:
            yield self._user_id
            return
        async for user_id in users_of_app(self._context, self.report.app_id):
            yield user_id

    async def user(self, user_id: UserId) -> None:
        """Replay one user, and switch to it where that is wanted; what was done before is not done again."""
        try:
            await self._replay(user_id)
        except (StoreError, Refusal):
            raise
        except Exception:  # noqa: BLE001 - damaged data fails in any way, and concerns one person
            self.report.failed.append(user_id)

    async def _replay(self, user_id: UserId) -> None:
        for _ in range(_TRIES):
            done = await self._context.store.read(lambda tx: rows.replayed(tx, self._scope, user_id))
            if done is None:
                done = await self._compute(user_id)
            if done is None:
                continue
            if not (self._switch and done.is_waiting) or await self._switch_to(user_id):
                self._note(user_id, done)
                return
        self.report.moving += 1

    def _note(self, user_id: UserId, done: Replayed) -> None:
        difference = wire.decode(done.difference, Difference)
        if difference.is_none:
            self.report.same += 1
            return
        self.report.differ[user_id] = difference
        if done.is_waiting and not self._switch:
            self.report.waiting += 1
        else:
            self.report.switched += 1

    async def _compute(self, user_id: UserId) -> Replayed | None:
        """Compute a user's timeline beside the one that is served; None where that one is not up to date."""
        await self._bring_up_to_date(user_id)
        seen = await self._context.store.read_long(lambda tx: look(tx, user_id, self._late_window_days))
        if seen is None:
            return None
        made_from, both = seen
        difference = await asyncio.to_thread(difference_of, both)
        done = Replayed(made_from, msgspec.json.encode(difference).decode(), is_waiting=not difference.is_none)

        async def keep(tx: Transaction) -> bool:
            await self._hold(tx)
            if await inputs(tx, user_id) != made_from:
                return False
            await rows.drop_side(tx, self._scope, user_id)
            await rows.set_replayed(tx, self._scope, user_id, done)
            if done.is_waiting:
                await rows.set_side(tx, self._scope, user_id, side_of(both.told))
            return True

        return done if await self._context.store.write(keep) else None

    async def _bring_up_to_date(self, user_id: UserId) -> None:
        for due in await self._context.store.read(lambda tx: due_timelines.due_of(tx, [user_id])):
            await compute(self._context, due)

    async def _switch_to(self, user_id: UserId) -> bool:
        """Let the replayed timeline be the one that is served; False where it is stale, and is to be computed again."""

        async def switch(tx: Transaction) -> bool:
            await self._hold(tx)
            await self._refuse_changed_policy(tx)
            done, side = await rows.replayed(tx, self._scope, user_id), await rows.side(tx, self._scope, user_id)
            if done is None or side is None or done.inputs != await inputs(tx, user_id):
                await rows.drop_user(tx, self._scope, user_id)
                return False
            await due_timelines.begin_again(tx, user_id)
            await put(tx, user_id, told_of(side))
            await rows.drop_side(tx, self._scope, user_id)
            app_id = self.report.app_id
            audit.note(self._context, tx, Event(What.TIMELINE_SWITCHED, OPERATOR, app_id, user_id=user_id))
            if self.report.is_tried:
                await record(self._context, tx, self.report.app_id, user_id, self.report.policy.late_window_days)
            return True

        return await self._context.store.write(switch)

    async def _refuse_changed_policy(self, tx: Transaction) -> None:
        app = await apps.app_by_id(tx, self.report.app_id)
        if app is None or (self.report.is_tried and app.policy != self.report.policy):
            raise Conflict("The app's policy was changed meanwhile: replay again.")

    @property
    def _late_window_days(self) -> int | None:
        """The one to try; None for those in force when each item came."""
        return self.report.policy.late_window_days if self.report.is_tried else None

    async def _hold(self, tx: Transaction) -> None:
        run = await rows.run(tx, self._scope)
        if run is None or run.holder != self._holder:
            raise Conflict("Another process took this replay over.")

    async def end(self, pace: Pace) -> None:
        """Forget the run, unless there is something left to be switched or to be tried again."""
        if self.report.waiting == 0 and self.report.moving == 0:
            await self.clear(pace)
            await self._context.store.write(lambda tx: rows.drop_run(tx, self._scope))

    async def begin_anew(self, run: Run, pace: Pace) -> None:
        """Throw away what an earlier run has made, under its own policy; only then is the run this one.

        One that is broken off in between is taken up as the earlier one: what is left of it must not be served as this
        one's.
        """
        await self.clear(pace)

        async def begin(tx: Transaction) -> None:
            await self._hold(tx)
            await rows.set_run(tx, self._scope, run)

        await self._context.store.write(begin)

    async def clear(self, pace: Pace) -> None:
        """Throw away what the run has made so far."""

        async def drop(tx: Transaction) -> int:
            await self._hold(tx)
            return await rows.drop_some(tx, self._scope, _USERS_AT_ONCE)

        pace.begin()
        while await self._context.store.write(drop):
            await pace.rest()

"""The walk from person to person: identity, payloads and timelines of each, every piece in a snapshot of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.errors import NotFound
from unbroken.flow.verify import kept, laws, people, timelines
from unbroken.flow.verify.finding import Rule
from unbroken.store import apps, inspection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.domain.ids import AppId, InstallId, UserId
    from unbroken.flow.context import Context
    from unbroken.flow.pace import Pace
    from unbroken.flow.verify.finding import Finding, Report
    from unbroken.flow.verify.people import Looked
    from unbroken.log.contract import PayloadLog
    from unbroken.store.contract import Transaction
    from unbroken.store.inspection import Registration

_REGISTRATIONS_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to verify; without any of these everything, platform tables and payload log too.

    Args:
        app_id: the people of one app.
        user_id: one person, by any of its ids.
        sample: so many people, where chance leads.
    """

    app_id: AppId | None = None
    user_id: UserId | None = None
    sample: int | None = None


async def walk(context: Context, wanted: Wanted, report: Report, pace: Pace) -> None:
    """Look at the people that are wanted, and add to the report.

    Raises:
        NotFound: there is no such app or user.
    """
    visit = _Visit(context, report, pace)
    async for app_id, install_id, seen in _seeds(context, wanted):
        await visit.people(app_id, install_id, seen)


# Whom to look at


async def _seeds(context: Context, wanted: Wanted) -> AsyncIterator[tuple[AppId, InstallId, set[InstallId]]]:
    """An install of each group of people that facts tie together; whoever looks adds whom else it has seen by that."""
    if wanted.user_id is not None:
        yield (*await _seed_of(context, wanted.user_id), set())
        return
    end = await context.store.read(inspection.last_position)  # who comes later is not waited for
    begin, left = await _begin(context, wanted, end)
    seen: set[InstallId] = set()
    for after, until in ((begin, end), (0, begin)):  # once round
        async for one in _registered(context, wanted, after, until):
            if one.install_id in seen:
                seen.discard(one.install_id)  # it will not come again
                continue
            if left == 0:
                return
            left -= 1
            yield one.app_id, one.install_id, seen
            seen.discard(one.install_id)


async def _registered(context: Context, wanted: Wanted, after: int, until: int) -> AsyncIterator[Registration]:
    while page := await context.store.read_long(_registrations(wanted, after, until)):
        for one in page:
            yield one
        after = page[-1].position


async def _seed_of(context: Context, user_id: UserId) -> tuple[AppId, InstallId]:
    seed = await context.store.read(lambda tx: inspection.an_install_of(tx, user_id))
    if seed is None:
        raise NotFound(f"There is no user {user_id.hex()}.")
    return seed


async def _begin(context: Context, wanted: Wanted, end: int) -> tuple[int, int]:
    """The position to begin after, and how many people to look at; below 0: all."""
    app_id = wanted.app_id
    if app_id is not None and await context.store.read(lambda tx: apps.app_by_id(tx, app_id)) is None:
        raise NotFound(f"There is no app {app_id.hex()}.")
    if wanted.sample is None:
        return 0, -1
    chance = int.from_bytes(context.randomness.secret(8), "big")  # a seeded lab goes on as if nobody had looked
    return chance % max(end, 1), wanted.sample


def _registrations(wanted: Wanted, after: int, end: int) -> Any:
    return lambda tx: inspection.registrations(tx, wanted.app_id, after, end, _REGISTRATIONS_AT_ONCE)


# Looking


class _Visit:
    """Looks at everybody whom an install ever had to do with."""

    def __init__(self, context: Context, report: Report, pace: Pace) -> None:
        self._context = context
        self._report = report
        self._pace = pace

    async def people(self, app_id: AppId, seed: InstallId, seen: set[InstallId]) -> None:
        """Compare identity in one snapshot, then the payloads of each install, then the timeline of each user."""
        looked, findings, user_id = await self._look(_identity(self._context.log, app_id, seed))
        seen.update(looked.installs)
        self._report.checked["people"] += 1
        self._report.checked["installs"] += len(looked.installs)
        self._add(findings, user_id)
        await self._pace.rest()
        for install_id in looked.installs:
            await self._payloads(install_id, user_id)
        for user_id in looked.users:
            await self._timeline(app_id, user_id)

    async def _look(self, look: Any) -> tuple[Looked, list[Finding], UserId | None]:
        """Look, and where an install seems to have uploaded unmarked, look again: both looks must find it so.

        A log outside of the store is looked at after the snapshot: an upload may have come since, and its mark. At the
        second look it may be that of another one.
        """
        looked, findings, user_id = await self._context.store.read_long(look)
        suspects = {one.row for one in findings if one.rule is Rule.USED_IS_TOLD}
        if suspects:
            looked, findings, user_id = await self._context.store.read_long(look)
        return looked, [one for one in findings if one.rule is not Rule.USED_IS_TOLD or one.row in suspects], user_id

    def _add(self, findings: list[Finding], user_id: UserId | None) -> None:
        self._report.findings += [replace(finding, user_id=user_id) for finding in findings]

    async def _payloads(self, install_id: InstallId, user_id: UserId | None) -> None:
        after: int | None = 0
        while after is not None:
            after, count, findings = await self._context.store.read_long(_bodies(install_id, after))
            self._report.checked["payloads"] += count
            self._add(findings, user_id)
            await self._pace.rest()

    async def _timeline(self, app_id: AppId, user_id: UserId) -> None:
        looked = await self._context.store.read_long(lambda tx: timelines.look(tx, app_id, user_id))
        if looked is None:
            self._report.pending += 1
            return
        self._report.checked["timelines"] += 1
        self._add(looked.told_findings(), user_id)
        await self._pace.rest()


def _identity(log: PayloadLog, app_id: AppId, seed: InstallId) -> Any:
    async def read(tx: Transaction) -> tuple[Looked, list[Finding], UserId | None]:
        looked = await people.look(tx, app_id, seed)
        findings = people.findings_of(looked)
        for user_id in looked.users:
            findings += await laws.of_user(tx, user_id)
        for install_id in looked.installs:
            findings += await laws.of_install(tx, log, install_id)
            findings += await kept.reaches(tx, install_id)
        return looked, findings, looked.users[0] if looked.users else await inspection.user_of(tx, seed)

    return read


def _bodies(install_id: InstallId, after: int) -> Any:
    return lambda tx: kept.bodies(tx, install_id, after)

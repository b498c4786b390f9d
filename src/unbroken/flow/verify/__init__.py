"""Verify: the laws are checked on live data (linking.md, laws), a little at a time, beside whoever else works on it.

Everything derived is derived anew and compared: people from the ledger, timelines from the payloads. Reading never
holds a writer up; each piece is one snapshot, so what changes meanwhile is no finding. Repairing writes only what is
proved, one finding at a time, and never touches facts, payloads or credentials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.errors import NotFound
from unbroken.flow.pace import Pace
from unbroken.flow.verify import kept, laws, people, platform, timelines
from unbroken.flow.verify.finding import Finding, Mend, Report
from unbroken.flow.verify.repair import repair
from unbroken.store import inspection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.domain.ids import AppId, InstallId, UserId
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

__all__ = ["Finding", "Report", "Wanted", "verify"]

SHARE: Final = 0.5
"""Of the time, so that a server on the same machine gets the other half."""

_REGISTRATIONS_AT_ONCE: Final = 200
_ROUNDS: Final = 3
"""One damaged row can be in the way of another's repair."""


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


async def verify(context: Context, wanted: Wanted, *, is_repairing: bool = False, share: float = SHARE) -> Report:
    """Look, and repair what is proved if that is wanted; then `findings` are those that are left.

    Raises:
        NotFound: there is no such user.
    """
    report = await _look(context, wanted, share)
    repaired: list[Finding] = []
    for _ in range(_ROUNDS if is_repairing else 0):
        done = await _repair(context, report)
        if not done:
            break
        repaired += done
        report = await _look(context, replace(wanted, sample=None), share)
    report.repaired = repaired
    return report


async def _repair(context: Context, report: Report) -> list[Finding]:
    mends = sorted({one.mend for one in report.findings if one.mend is not None}, key=_first_people)
    done = {mend for mend in mends if await repair(context, mend)}
    return [finding for finding in report.findings if finding.mend in done]


def _first_people(mend: Mend) -> tuple[int, bytes]:
    return (("strays", "people", "timeline").index(mend.what), mend.subject)


async def _look(context: Context, wanted: Wanted, share: float) -> Report:
    report, pace = Report(), Pace(share)
    pace.begin()
    async for app_id, install_id, seen in _seeds(context, wanted):
        await _Person(context, report, pace).check(app_id, install_id, seen)
    if wanted == Wanted():
        await platform.check(context, report, pace)
    return report


# Whom to look at


async def _seeds(context: Context, wanted: Wanted) -> AsyncIterator[tuple[AppId, InstallId, set[InstallId]]]:
    """An install of each group of people that facts tie together; whoever looks adds whom else it has seen by that."""
    if wanted.user_id is not None:
        seed = await context.store.read(_an_install_of(wanted.user_id))
        if seed is None:
            raise NotFound(f"There is no user {wanted.user_id.hex()}.")
        yield (*seed, set())
        return
    after, left = await _begin(context, wanted)
    seen: set[InstallId] = set()
    while page := await context.store.read_long(_registrations(wanted, after)):
        for one in page:
            if one.install_id in seen:
                seen.discard(one.install_id)  # it will not come again
                continue
            if left == 0:
                return
            left -= 1
            yield one.app_id, one.install_id, seen
            seen.discard(one.install_id)
        after = page[-1].position


async def _begin(context: Context, wanted: Wanted) -> tuple[int, int]:
    """The position to begin after, and how many people to look at; below 0: all."""
    if wanted.sample is None:
        return 0, -1
    last = await context.store.read(inspection.last_position)
    chance = int.from_bytes(context.randomness.secret(8), "big")  # a seeded lab goes on as if nobody had looked
    after = chance % max(last, 1)
    is_end = not await context.store.read(_registrations(wanted, after))
    return 0 if is_end else after, wanted.sample


def _an_install_of(user_id: UserId) -> Any:
    return lambda tx: inspection.an_install_of(tx, user_id)


def _registrations(wanted: Wanted, after: int) -> Any:
    return lambda tx: inspection.registrations(tx, wanted.app_id, after, _REGISTRATIONS_AT_ONCE)


# Looking


class _Person:
    """Looks at everybody whom an install ever had to do with."""

    def __init__(self, context: Context, report: Report, pace: Pace) -> None:
        self._context = context
        self._report = report
        self._pace = pace

    async def check(self, app_id: AppId, seed: InstallId, seen: set[InstallId]) -> None:
        """Compare identity in one snapshot, then the payloads of each install, then the timeline of each user."""
        looked, findings = await self._context.store.read_long(_identity(app_id, seed))
        seen.update(looked.installs)
        self._report.findings += findings
        self._report.checked["people"] += 1
        self._report.checked["installs"] += len(looked.installs)
        await self._pace.rest()
        for install_id in looked.installs:
            await self._payloads(install_id)
        for user_id in looked.users:
            await self._timeline(app_id, user_id)

    async def _payloads(self, install_id: InstallId) -> None:
        after: int | None = 0
        while after is not None:
            after, count, findings = await self._context.store.read_long(_bodies(install_id, after))
            self._report.checked["payloads"] += count
            self._report.findings += findings
            await self._pace.rest()

    async def _timeline(self, app_id: AppId, user_id: UserId) -> None:
        looked = await self._context.store.read_long(_timeline(app_id, user_id))
        if looked is None:
            self._report.pending += 1
            return
        self._report.checked["timelines"] += 1
        self._report.behind += looked.is_behind
        self._report.findings += looked.told_findings()
        await self._pace.rest()


def _identity(app_id: AppId, seed: InstallId) -> Any:
    async def read(tx: Transaction) -> tuple[people.Looked, list[Finding]]:
        looked = await people.look(tx, app_id, seed)
        findings = people.findings_of(looked)
        for user_id in looked.users:
            findings += await laws.of_user(tx, user_id)
        for install_id in looked.installs:
            findings += await laws.of_install(tx, install_id)
            findings += await kept.reaches(tx, install_id)
        return looked, findings

    return read


def _bodies(install_id: InstallId, after: int) -> Any:
    return lambda tx: kept.bodies(tx, install_id, after)


def _timeline(app_id: AppId, user_id: UserId) -> Any:
    return lambda tx: timelines.look(tx, app_id, user_id)

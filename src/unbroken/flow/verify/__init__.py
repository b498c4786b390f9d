"""Verify: the laws are checked on live data (linking.md, laws), a little at a time, beside whoever else works on it.

Everything derived is derived anew and compared: people from the ledger, timelines from the payloads. Reading never
holds a writer up; each piece is one snapshot, so what changes meanwhile is no finding. Repairing writes only what is
proved, one finding at a time, and never touches facts, payloads or credentials.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from unbroken.flow.pace import Pace
from unbroken.flow.verify import platform
from unbroken.flow.verify.finding import Finding, Mend, Report, Rule
from unbroken.flow.verify.repair import repair
from unbroken.flow.verify.walk import Wanted, walk

if TYPE_CHECKING:
    from unbroken.flow.context import Context

__all__ = ["Finding", "Report", "Rule", "Wanted", "verify"]

SHARE: Final = 0.5
"""Of the time, so that a server on the same machine gets the other half."""

_ROUNDS: Final = 3
"""One damaged row can be in the way of another's repair."""
_ORDER: Final = ("strays", "people", "timeline")


async def verify(context: Context, wanted: Wanted, *, is_repairing: bool = False, share: float = SHARE) -> Report:
    """Look, and repair what is proved if that is wanted; then `findings` are those that are left.

    Args:
        share: how much of the time to work (`Pace`).

    Raises:
        NotFound: there is no such app or user.
    """
    report = await _look(context, wanted, share)
    repaired: list[Finding] = []
    for _ in range(_ROUNDS if is_repairing else 0):
        done = await _repair(context, report)
        if not done:
            break
        repaired += done
        report = await _look(context, replace(wanted, sample=None), share)
    report.repaired = [finding for finding in repaired if finding not in report.findings]
    return report


async def _look(context: Context, wanted: Wanted, share: float) -> Report:
    report, pace = Report(), Pace(share)
    pace.begin()
    await walk(context, wanted, report, pace)
    if wanted == Wanted():
        await platform.check(context, report, pace)
    return report


async def _repair(context: Context, report: Report) -> list[Finding]:
    mends = sorted({one.mend for one in report.findings if one.mend is not None}, key=_first_people)
    done = {mend for mend in mends if await repair(context, mend)}
    return [finding for finding in report.findings if finding.mend in done]


def _first_people(mend: Mend) -> tuple[int, bytes]:
    return _ORDER.index(mend.what), mend.subject

"""Sampled: some people are verified now and then, as chance leads; whoever has a finding again, until it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import NotFound
from unbroken.flow.verify import Wanted, verify

if TYPE_CHECKING:
    from unbroken.domain.ids import UserId
    from unbroken.flow.context import Context
    from unbroken.flow.verify import Finding, Report

PEOPLE: Final = 20
SHARE: Final = 0.05
"""Of the time; the server has better to do."""


class Sampler:
    """See the module.

    Attributes:
        checked: how many people were looked at so far.
        findings: what stands now, of those that were looked at.
    """

    def __init__(self, context: Context, *, people: int = PEOPLE, share: float = SHARE) -> None:
        self.checked = 0
        self.findings: frozenset[Finding] = frozenset()
        self._context = context
        self._people = people
        self._share = share

    async def look(self) -> list[Finding]:
        """Look once more; what was found that was not known before.

        Raises:
            StoreUnavailable.
        """
        known = self.findings
        found: set[Finding] = set()
        for user_id in {one.user_id for one in known if one.user_id is not None}:
            found.update(await self._again(user_id))
        found.update(self._counted(await verify(self._context, Wanted(sample=self._people), share=self._share)))
        self.findings = frozenset(found)
        return sorted(found - known, key=lambda one: (one.rule, one.table, one.row))

    async def _again(self, user_id: UserId) -> list[Finding]:
        try:
            return self._counted(await verify(self._context, Wanted(user_id=user_id), share=self._share))
        except NotFound:  # erased meanwhile
            return []

    def _counted(self, report: Report) -> list[Finding]:
        self.checked += report.checked["people"]
        return report.findings

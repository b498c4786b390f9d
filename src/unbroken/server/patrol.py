"""Patrol: a running server verifies some of its people now and then, and says what it finds in metrics and log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from unbroken.flow.verify.sampled import Sampler

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.flow.verify import Finding
    from unbroken.server.metrics import Metrics

log = structlog.get_logger()


class Patrol:
    """See the module. It only reads; `unbroken verify` says more and repairs."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._sampler = Sampler(context)
        metrics.counter("unbroken_verify_checked", "People verified.", lambda: self._sampler.checked)
        metrics.gauge("unbroken_verify_findings", "Findings that stand.", lambda: len(self._sampler.findings))

    async def look(self) -> None:
        """Verify the next people, and tell of each finding."""
        for finding in await self._sampler.look():
            _tell(finding)


def _tell(finding: Finding) -> None:
    """Without the values: they may say something of the person."""
    user_id = None if finding.user_id is None else finding.user_id.hex()
    is_repairable = finding.mend is not None
    log.error("verify finding", code=str(finding.rule), table=finding.table, user_id=user_id, repairable=is_repairable)

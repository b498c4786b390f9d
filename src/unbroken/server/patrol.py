"""Patrol: a running server verifies some of its people now and then, and says what it finds in metrics and log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from unbroken.flow.verify.sampled import Sampler

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.flow.verify import Finding
    from unbroken.server.metrics import Metrics

log = structlog.get_logger()


class Patrol:
    """See the module. It only reads; `unbroken verify` says more and repairs.

    Args:
        every_s: how long to rest between two looks; 0 never looks.
    """

    def __init__(self, context: Context, metrics: Metrics, every_s: float) -> None:
        self._sampler = Sampler(context)
        self._every_s = every_s
        self._walking: asyncio.Task[None] | None = None
        metrics.counter("unbroken_verify_checked", "People verified.", lambda: self._sampler.checked)
        metrics.gauge("unbroken_verify_findings", "Findings that stand.", lambda: len(self._sampler.findings))

    def start(self) -> None:
        """Look after the first rest, and then again and again."""
        if self._every_s:
            self._walking = asyncio.create_task(self._walk())

    async def stop(self) -> None:
        """Stop where it is: there is nothing to finish."""
        if self._walking is not None:
            self._walking.cancel()
            await asyncio.gather(self._walking, return_exceptions=True)

    async def _walk(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                for finding in await self._sampler.look():
                    _tell(finding)
            except Exception:  # a database that is busy, or damaged beyond reading; the next look may go well
                log.exception("verify failed")


def _tell(finding: Finding) -> None:
    """Without the values: they may say something of the person."""
    user_id = None if finding.user_id is None else finding.user_id.hex()
    is_repairable = finding.mend is not None
    log.error("verify finding", code=str(finding.rule), table=finding.table, user_id=user_id, repairable=is_repairable)

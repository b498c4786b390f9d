"""Sharing: a server tells those beside it, once a second, what it has allowed (`flow/shared_limits.py`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from unbroken.flow.shared_limits import MEET_EVERY_S, SharedLimits

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.flow.limits import Limits

log = structlog.get_logger()


class Sharing:
    """See the module. Where it fails, each process goes on with what it knows by itself."""

    def __init__(self, context: Context, limits: Limits) -> None:
        self._shared = SharedLimits(context, limits, context.randomness.uuid(context.wall.now_ms()))
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell and listen from now on."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, and be forgotten by the others."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            await self._shared.leave()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(MEET_EVERY_S)
            try:
                await self._shared.meet()
            except Exception:  # the next one may go well
                log.exception("limits not shared")

"""Rounds: what a server does again and again beside its calls, until it stops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()


class Rounds:
    """One step, again and again. One that fails is told of: a database may be busy, and the next may go well.

    Args:
        every_s: how long to rest between two steps; 0 never takes one.
        trouble: what the log says of a step that failed.
        rests_first: the first step is taken after a rest, too.
    """

    def __init__(
        self, step: Callable[[], Awaitable[None]], every_s: float, trouble: str, *, rests_first: bool = False
    ) -> None:
        self._step = step
        self._every_s = every_s
        self._trouble = trouble
        self._rest_s = every_s if rests_first else 0.0
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on by itself from now on."""
        if self._every_s:
            self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop where it is: there is nothing to finish."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._rest_s)
            self._rest_s = self._every_s
            try:
                await self._step()
            except Exception:
                log.exception(self._trouble)

"""Sharing: a server says once a second what it has let through: to those beside it, and for when it comes again.

That is `flow/shared_limits.py` and `flow/quotas.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from unbroken.flow.shared_limits import MEET_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger()


class Shared(Protocol):
    """What is said and heard."""

    async def meet(self) -> None:
        """Say what is new, and hear what the others have said."""
        ...

    async def leave(self) -> None:
        """This process has stopped."""
        ...


class Sharing:
    """See the module. Where it fails, each process goes on with what it knows by itself."""

    def __init__(self, shared: Sequence[Shared]) -> None:
        self._shared = shared
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell and listen from now on, where there is anything to tell."""
        if not self._shared:
            return
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, and leave what is to stay."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            for shared in self._shared:
                await shared.leave()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(MEET_EVERY_S)
            for shared in self._shared:
                try:
                    await shared.meet()
                except Exception:  # the next one may go well
                    log.exception("limits not shared")

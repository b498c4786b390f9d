"""Pace: work in the background takes only a share of the time, so that those who wait for an answer get theirs."""

from __future__ import annotations

import asyncio


class Pace:
    """Rests after each piece of work, as long as its share asks for.

    Args:
        share: how much of the time may be worked, above 0; 1 never rests.
    """

    def __init__(self, share: float) -> None:
        self._rest_per_work = (1 - share) / share
        self._since_s: float | None = None

    def begin(self) -> None:
        """A piece of work begins."""
        self._since_s = asyncio.get_running_loop().time()

    async def rest(self) -> None:
        """It has ended, and the next one begins when this returns."""
        now_s = asyncio.get_running_loop().time()
        worked_s = 0.0 if self._since_s is None else now_s - self._since_s
        await asyncio.sleep(worked_s * self._rest_per_work)
        self.begin()

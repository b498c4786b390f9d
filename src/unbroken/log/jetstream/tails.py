"""Tails: up to where each partition is known to reach, told by the processes that append to those that read."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_ENTRY: Final = struct.Struct(">HQ")
_GATHERED_S: Final = 0.01
"""How long what was appended is gathered before others are told: a hundred messages a second, however many records."""


class Tails:
    """See the module; belongs to the event loop.

    Args:
        tell: called with a packed message for the other processes.
    """

    def __init__(self, tell: Callable[[bytes], Awaitable[None]]) -> None:
        self._tell = tell
        self._known: dict[int, int] = {}
        self._untold: dict[int, int] = {}
        self._telling: asyncio.Task[None] | None = None
        self.grew = asyncio.Event()

    def note(self, partition: int, sequence: int) -> None:
        """A record of this process was stored."""
        self.learn(partition, sequence)
        if sequence > self._untold.get(partition, 0):
            self._untold[partition] = sequence
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_soon())

    def hear(self, message: bytes) -> None:
        """Another process has stored records."""
        if len(message) % _ENTRY.size == 0:
            for partition, sequence in _ENTRY.iter_unpack(message):
                self.learn(partition, sequence)

    def learn(self, partition: int, sequence: int) -> None:
        """A record was seen."""
        if sequence > self._known.get(partition, 0):
            self._known[partition] = sequence
            self.grew.set()

    def forget(self, partition: int, sequence: int) -> None:
        """Nothing of the partition is there up to `sequence`; what was learned beyond it stays."""
        if self._known.get(partition, 0) <= sequence:
            self._known.pop(partition, None)

    def of(self, partition: int) -> int:
        """The last known sequence of a partition."""
        return self._known.get(partition, 0)

    def behind(self, cursors: Mapping[int, int]) -> list[int]:
        """The partitions that reach beyond their cursors, in rising order."""
        return sorted(number for number, sequence in self._known.items() if sequence > cursors.get(number, 0))

    async def told(self) -> None:
        """Return when others were told of everything so far."""
        if self._telling is not None:
            await asyncio.wait([self._telling])

    async def close(self) -> None:
        """Tell nobody any more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    async def _tell_soon(self) -> None:
        await asyncio.sleep(_GATHERED_S)
        untold, self._untold, self._telling = self._untold, {}, None
        await self._tell(b"".join(_ENTRY.pack(*entry) for entry in untold.items()))

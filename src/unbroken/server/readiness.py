"""Readiness: what each dependency says of itself, and of one that says nothing, that it does not answer.

Whoever asks comes again every few seconds, and gives up on us after four (`deploy/`): so one that hangs is waited for
three, and asked once at a time, however often we are.

Nothing is written. A full disk, or a standby that is away, stops the changes of every process alike while reads go on:
a process that called itself unready then would take those away too, and help nobody to find another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Ask = Callable[[], Awaitable[str | None]]

ANSWERS_WITHIN_S: Final = 3.0
_SILENT: Final = f"It has not answered for {ANSWERS_WITHIN_S:.0f} seconds."


class Readiness:
    """See the module.

    Args:
        asks: by name, what answers None, or what is wrong with the dependency.
    """

    def __init__(self, asks: Mapping[str, Ask]) -> None:
        self._asks = asks
        self._asking: dict[str, asyncio.Task[str | None]] = {}

    @property
    def names(self) -> list[str]:
        """Of the dependencies."""
        return list(self._asks)

    async def troubles(self) -> dict[str, str]:
        """What is wrong, by the dependency's name; empty where nothing is."""
        told = await asyncio.gather(*map(self._trouble, self._asks))
        return {name: trouble for name, trouble in zip(self._asks, told, strict=True) if trouble is not None}

    async def stop(self) -> None:
        """Ask nobody any more."""
        asking, self._asking = self._asking, {}
        for one in asking.values():
            one.cancel()
        await asyncio.gather(*asking.values(), return_exceptions=True)

    async def _trouble(self, name: str) -> str | None:
        asking = self._asking.get(name)
        if asking is None or asking.done():
            asking = self._asking[name] = asyncio.create_task(_ask(self._asks[name]))
        await asyncio.wait([asking], timeout=ANSWERS_WITHIN_S)
        return asking.result() if asking.done() else _SILENT


async def _ask(ask: Ask) -> str | None:
    try:
        return await ask()
    except StoreUnavailable as error:
        return str(error)

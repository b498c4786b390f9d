"""Run one command's step on a data directory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from unbroken.flow.context import Context

T = TypeVar("T")


def run(data: Path, step: Callable[[Context], Awaitable[T]], *, create: bool = False) -> T:
    """What `step` answers.

    Raises:
        CannotStart, Refusal, StoreError.
    """
    from unbroken.server.platform import open_for_command  # noqa: PLC0415 - each command starts as fast as it can

    async def whole() -> T:
        async with open_for_command(data, create=create) as context:
            return await step(context)

    return asyncio.run(whole())

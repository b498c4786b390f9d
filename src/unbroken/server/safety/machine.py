"""The machine that it runs on: its clock, and the account."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.clock import SystemClock
from unbroken.server.safety.finding import Finding, problem, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.clock import Clock
    from unbroken.server.settings import Settings

_CLOCK_EARLIEST_MS: Final = 1_767_225_600_000  # 2026-01-01: before this software was


def examine(settings: Settings, *, is_lab: bool) -> Iterator[Finding]:
    """Every check of it."""
    yield clock(SystemClock())
    if settings.is_public and not is_lab and os.geteuid() == 0:
        yield warning(
            "account", "This runs as root, which needs no more than any other account. Give it one of its own."
        )


def clock(system: Clock) -> Finding:
    """Whether credentials would end when they should."""
    now_ms = system.now_ms()
    if now_ms < _CLOCK_EARLIEST_MS:
        return problem("clock", f"This machine says it is {wire.iso(now_ms)}. Set its clock.")
    return well("clock", f"This machine says it is {wire.iso(now_ms)}.")

"""Safety: what a platform is not served with, and what it is served with under protest.

`unbroken serve` refuses to start with the first problem, and logs the warnings; `unbroken doctor` shows all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.server.safety import engines, files, listening, machine
from unbroken.server.safety.finding import Finding, Verdict, warning
from unbroken.server.settings import misspelt
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.server.settings import Settings


def refuse(settings: Settings, *, is_lab: bool, has_data: bool = True) -> list[Finding]:
    """Let a platform pass that can be served safely.

    Args:
        has_data: False before there is a directory to look at.

    Returns:
        The warnings.

    Raises:
        CannotStart: with the reason, and what to do.
    """
    of_data = files.examine(settings, is_lab=is_lab) if has_data else ()
    findings = [*of_data, *examine(settings, is_lab=is_lab)]
    for finding in findings:
        if finding.verdict is Verdict.PROBLEM:
            raise CannotStart(finding.sentence)
    return [finding for finding in findings if finding.verdict is Verdict.WARNING]


def examine(settings: Settings, *, is_lab: bool) -> Iterator[Finding]:
    """What the settings and the machine say, without a look at the data."""
    yield from _names()
    yield from listening.examine(settings, is_lab=is_lab)
    yield from engines.examine(settings)
    yield from machine.examine(settings, is_lab=is_lab)


def _names() -> Iterator[Finding]:
    for name, meant in misspelt():
        yield warning("settings", f"{name} is no setting, and does nothing. Is {meant} meant?")

"""What a check found."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """What one check found."""

    check: str
    verdict: Verdict
    sentence: str


def well(check: str, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Verdict.OK, sentence)


def warning(check: str, sentence: str) -> Finding:
    """It can be served, and should not stay so."""
    return Finding(check, Verdict.WARNING, sentence)


def problem(check: str, sentence: str) -> Finding:
    """It must not be served."""
    return Finding(check, Verdict.PROBLEM, sentence)

"""The demo's check: does the timeline of four installs equal that of one phone that never changed?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from unbroken.testing.platform import without_installs

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two timelines are equal in every field, ids of events included, but for the installs they came from.

    Args:
        events: of the timeline with four installs.
        difference: the first one, in words; None where there is none.
    """

    events: int
    difference: str | None

    @property
    def is_equal(self) -> bool:
        """Whether the demo has shown what it claims."""
        return self.difference is None


def compare(four_installs: Sequence[dict[str, Any]], one_phone: Sequence[dict[str, Any]]) -> Verdict:
    """Compare the two timelines; one without events shows nothing, and is not equal to anything."""
    ours, theirs = without_installs(list(four_installs)), without_installs(list(one_phone))
    if not ours:
        return Verdict(0, "the timeline is empty")
    for number, (mine, other) in enumerate(zip_longest(ours, theirs), 1):
        if mine != other:
            return Verdict(len(ours), f"event {number}: {_difference(mine, other)}")
    return Verdict(len(ours), None)


def _difference(mine: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if mine is None or other is None:
        return f"only {'one phone' if mine is None else 'the four installs'} has it: {mine or other}"
    fields = sorted(name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name))
    return ", ".join(f"{name} is {mine.get(name)!r}, of one phone {other.get(name)!r}" for name in fields)

"""Which items count: what becomes of an item, from when it was captured, when it came, and how its install stood then.

Items of an install are a set: arrival, repetition and batches do not matter. `Outcome` and `judge` are the table of
linking.md, "Which items count"; the spans that say how an install stood come from the fold of the ledger.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain.install import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ledger.people import Span

CLOCK_TOLERANCE_MS: Final = 30_000
"""An upload cannot be in flight longer: a smaller offset counts as none."""

FUTURE_TOLERANCE_MS: Final = 10 * 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000


class Outcome(StrEnum):
    """What became of an item; the first row of the table that matches."""

    BAD_CLOCK = "bad_clock"
    TOO_LATE = "too_late"
    BEFORE_INSTALL = "before_install"
    ACCEPTED = "accepted"
    OVERLAPS = "overlaps"
    BEFORE_LINK = "before_link"
    DISABLED = "disabled"
    STANDBY = "standby"
    SUPERSEDED = "superseded"


OUTCOMES: Final = {
    State.ACTIVE: Outcome.ACCEPTED,
    State.STANDBY: Outcome.STANDBY,
    State.SUPERSEDED: Outcome.SUPERSEDED,
    State.DISABLED: Outcome.DISABLED,
    State.DELETED: Outcome.SUPERSEDED,
}
"""The outcome of what is captured while an install stands so; of a deleted one only what a fast clock put ahead."""


class Copy(NamedTuple):
    """One copy of an item, by the upload it came in. Epoch milliseconds; `offset_ms` as `clock_offset_ms` gives it."""

    received_at: int
    offset_ms: int
    payload_id: str


def clock_offset_ms(received_at: int, sent_at: int) -> int:
    """How far the device's clock is behind the server's; whole seconds, 0 under half a minute."""
    offset_ms = received_at - sent_at
    if abs(offset_ms) < CLOCK_TOLERANCE_MS:
        return 0
    return (offset_ms + 500) // 1000 * 1000


def copy_that_counts(one: Copy, other: Copy) -> Copy:
    """Of two copies: the earliest receipt, with its payload, and the smallest offset (in size, then the positive)."""
    first = min(one, other, key=lambda copy: (copy.received_at, copy.payload_id))
    offset_ms = min(one.offset_ms, other.offset_ms, key=lambda offset: (abs(offset), -offset))
    return first._replace(offset_ms=offset_ms)


def judge(
    captured_at: int,
    received_at: int,
    spans: Sequence[Span],
    late_window_days: int,
    hours_after_handover: int = 0,
) -> tuple[Outcome, Span | None]:
    """What becomes of an item, and the span it was captured in, where one decided.

    Args:
        captured_at: by the device's clock, corrected by the offset.
        received_at: the earliest receipt of a copy.
        spans: all of the install's, in order of time; the first begins at its registration.
        late_window_days: that of the policy in force at the receipt (`late_windows.py`).
        hours_after_handover: likewise; 0 is no bound.
    """
    if captured_at > received_at + FUTURE_TOLERANCE_MS:
        return Outcome.BAD_CLOCK, None
    if received_at > captured_at + late_window_days * DAY_MS:
        return Outcome.TOO_LATE, None
    at = bisect_right(spans, captured_at, key=lambda span: span.from_ms)
    if at == 0:
        return Outcome.BEFORE_INSTALL, None
    span = spans[at - 1]
    if hours_after_handover and _handed_over_by(spans, at, received_at - hours_after_handover * HOUR_MS):
        return Outcome.TOO_LATE, None
    return span.outcome, span


def _handed_over_by(spans: Sequence[Span], at: int, instant_ms: int) -> bool:
    """Whether the span before `at` is an activation that another install ended before an instant.

    That very handover decides, whatever became of the install later: so what an undo changes of it lies in a span that
    the undo changes, and is judged again with that.
    """
    if spans[at - 1].outcome is not Outcome.ACCEPTED or at == len(spans):
        return False
    return spans[at].state is State.SUPERSEDED and spans[at].from_ms < instant_ms

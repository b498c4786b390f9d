"""What differs between a timeline as it is served and the same one told anew: events by day, outcomes of items."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct

from unbroken import wire
from unbroken.domain.payload import DAY_MS
from unbroken.flow.items import judge_uploads
from unbroken.flow.timeline_rows import no_more, row_of

if TYPE_CHECKING:
    from unbroken.flow.timeline import Loaded
    from unbroken.flow.timeline_rows import Told
    from unbroken.store.timelines import EventRow, Head


class Day(Struct, frozen=True):
    """How the events that begin on one day, UTC, differ."""

    day: str
    gained: int
    lost: int
    changed: int


class Outcomes(Struct, frozen=True, rename={"from_": "from"}):
    """How many items would have another outcome."""

    from_: str
    to: str
    count: int


class Difference(Struct, frozen=True):
    """What differs between a replayed timeline and the one that is served.

    Args:
        is_state_equal: whether all that later data builds on is the same as well.
    """

    days: list[Day]
    items: list[Outcomes]
    is_state_equal: bool

    @property
    def is_none(self) -> bool:
        """Whether nothing differs."""
        return self.is_state_equal and not self.days and not self.items


@dataclass(frozen=True, slots=True)
class Both:
    """A user's timeline as it is served (`old`, `head`) and as it was told anew, from one snapshot.

    Args:
        loaded: what it was told from; `tried` under the policy that is tried.
    """

    loaded: Loaded
    tried: Loaded
    told: Told
    old: list[EventRow]
    head: Head | None


def difference_of(both: Both) -> Difference:
    """What differs."""
    old = {row.event_id: row for row in both.old if not row.is_removed}
    counts: Counter[tuple[int, str]] = Counter()
    for event in both.told.events:
        if row_of(event, old.get(event.event_id)) is not None:
            counts[event.start_ms // DAY_MS, "changed" if event.event_id in old else "gained"] += 1
    for row in no_more(old.values(), both.told.events):
        counts[row.start_ms // DAY_MS, "lost"] += 1
    days = [
        Day(wire.iso(day * DAY_MS)[:10], counts[day, "gained"], counts[day, "lost"], counts[day, "changed"])
        for day in sorted({day for day, _ in counts})
    ]
    return Difference(days, _outcomes(both), is_state_equal=_is_equal(both.head, both.told.head))


def _is_equal(served: Head | None, told: Head) -> bool:
    """A user of whom nothing ever came has no timeline, and an empty one is told."""
    return told.at_ms < 0 if served is None else served == told


def _outcomes(both: Both) -> list[Outcomes]:
    if both.tried.late_windows == both.loaded.late_windows:
        return []
    counts: Counter[tuple[str, str]] = Counter()
    now_and_then = [judge_uploads(one.uploads, one.spans, one.late_windows) for one in (both.loaded, both.tried)]
    for now, then in zip(*now_and_then, strict=True):
        if now.outcome is not then.outcome:
            counts[now.outcome.value, then.outcome.value] += 1
    return [Outcomes(was, is_, count) for (was, is_), count in sorted(counts.items())]

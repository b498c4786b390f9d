"""A day to send through phones: what one device captured, and what is known of the map around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unbroken import wire
from unbroken.testing.journey import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

Line = tuple[Place, ...]


class UnusableTrace(ValueError):
    """A file that no day can be read from; the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class TownMap:
    """What to draw under the day; empty where only the trace is known."""

    streets: tuple[Line, ...] = ()
    main_streets: tuple[Line, ...] = ()
    river: Line = ()
    parks: tuple[Line, ...] = ()
    places: tuple[tuple[str, Place], ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """What one phone that never changed would capture.

    Args:
        title: what the day is, in a few words.
        time_zone: IANA name, of the person.
        items: in order of capture time.
        town: what to draw under it.
    """

    title: str
    time_zone: str
    items: tuple[wire.Item, ...]
    town: TownMap = field(default_factory=TownMap)

    @property
    def start_ms(self) -> int:
        """When the first item was captured."""
        return self.items[0].t

    @property
    def end_ms(self) -> int:
        """When the last item was captured."""
        return self.items[-1].t


def as_day(title: str, time_zone: str, items: Sequence[wire.Item], town: TownMap | None = None) -> Day:
    """A day of items in any order.

    Raises:
        UnusableTrace: there are too few fixes, or too short a time, to hand a phone over in between.
    """
    fixes = [item for item in items if isinstance(item, wire.Location)]
    if len(fixes) < 20 or max(fix.t for fix in fixes) - min(fix.t for fix in fixes) < 20 * 60_000:
        raise UnusableTrace(f"{title}: a day needs at least 20 fixes with times, over at least 20 minutes")
    return Day(title, time_zone, tuple(sorted(items, key=lambda item: item.t)), town or TownMap())


def freeze_items(items: Sequence[wire.Item]) -> bytes:
    """Items for another process."""
    return wire.encode(list(items))


def thaw_items(frozen: bytes) -> list[wire.Item]:
    """What `freeze_items` froze."""
    items: list[Any] = wire.decode(frozen, list[wire.Item])
    return items

"""Where somebody goes, as the items a phone would capture on the way: short to write, the same in every run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace as with_fields

from unbroken import wire

METRES_PER_DEGREE: Final = 111_195.0
_MOVING_EVERY_S: Final = 10
_RESTING_EVERY_S: Final = 60

Motion = Literal["still", "walking", "running", "cycling", "automotive", "unknown"]


class Place(NamedTuple):
    """A point on the ground, degrees WGS84."""

    lat: float
    lon: float

    def moved(self, *, north_m: float = 0.0, east_m: float = 0.0) -> Place:
        """The point that far north and east of this one."""
        return Place(
            self.lat + north_m / METRES_PER_DEGREE,
            self.lon + east_m / (METRES_PER_DEGREE * math.cos(math.radians(self.lat))),
        )

    def distance_m(self, other: Place) -> float:
        """How far it is to another point of the same town, metres."""
        north_m = (other.lat - self.lat) * METRES_PER_DEGREE
        east_m = (other.lon - self.lon) * METRES_PER_DEGREE * math.cos(math.radians(self.lat))
        return math.hypot(north_m, east_m)


HOME: Final = Place(50.8503, 4.3517)
CAFE: Final = HOME.moved(north_m=600, east_m=250)
OFFICE: Final = HOME.moved(north_m=-1_500, east_m=4_200)


@dataclass(frozen=True, slots=True)
class Journey:
    """A way through a day: `Journey(HOME).stay(30).walk(CAFE).stay(20).ride(OFFICE)`.

    Args:
        at: where it has come to.
        length_ms: how long it has taken to there.
        steps: items whose `t` counts from the start of the journey.
    """

    at: Place
    length_ms: int = 0
    steps: tuple[wire.Item, ...] = ()

    def stay(self, minutes: float) -> Journey:
        """Remain where it is; a fix a minute."""
        return self._to(self.at, int(minutes * 60_000), _RESTING_EVERY_S, 0.0, "still")

    def walk(self, to: Place) -> Journey:
        """Go on foot in a straight line, at 1.4 m/s."""
        return self._move(to, 1.4, "walking")

    def ride(self, to: Place) -> Journey:
        """Go by car in a straight line, at 12 m/s."""
        return self._move(to, 12.0, "automotive")

    def items(self, start_ms: int) -> list[wire.Item]:
        """What a phone captures on a journey that starts at `start_ms`."""
        return [with_fields(step, t=start_ms + step.t) for step in self.steps]

    def _move(self, to: Place, speed_mps: float, motion: Motion) -> Journey:
        duration_ms = int(self.at.distance_m(to) / speed_mps * 1000)
        return self._to(to, duration_ms, _MOVING_EVERY_S, speed_mps, motion)

    def _to(self, to: Place, duration_ms: int, every_s: int, speed_mps: float, motion: Motion) -> Journey:
        """One fix every `every_s`, the first after one interval, and what the phone believes is going on."""
        began = wire.Activity(t=self.length_ms + 1_000, type=motion, confidence=0.9)
        fixes = (
            self._fix(to, offset_ms, duration_ms, speed_mps)
            for offset_ms in range(every_s * 1000, duration_ms + 1, every_s * 1000)
        )
        return replace(self, at=to, length_ms=self.length_ms + duration_ms, steps=(*self.steps, began, *fixes))

    def _fix(self, to: Place, offset_ms: int, duration_ms: int, speed_mps: float) -> wire.Location:
        part = offset_ms / duration_ms
        return wire.Location(
            t=self.length_ms + offset_ms,
            lat=round(self.at.lat + (to.lat - self.at.lat) * part, 6),
            lon=round(self.at.lon + (to.lon - self.at.lon) * part, 6),
            acc=8.0,
            speed=speed_mps,
        )

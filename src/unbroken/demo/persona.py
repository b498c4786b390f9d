"""A persona's working day, by a seed: home, on foot, by bus, work, lunch, errands, an evening of silence.

What a phone makes of it: fixes every ten seconds on the way, noise that drifts, worse indoors, a wild fix now and then,
and hours without a word while it lies still.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.demo.day import Day, as_day
from unbroken.demo.town import Point, build, draw
from unbroken.randomness import SeededRandomness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.demo.town import Crossing, Town
    from unbroken.randomness import Randomness
    from unbroken.testing.journey import Motion

MORNING: Final = "2026-06-02T07:00:00+02:00"
TIME_ZONE: Final = "Europe/Brussels"
_WALKING_MPS: Final = 1.35
_BUS_MPS: Final = 10.5
_BUS_STOP_EVERY_M: Final = 640.0
_WILD_FIX: Final = 0.006
_DRIFT: Final = 0.86


def day_of(seed: int) -> Day:
    """The day of the persona that a seed names."""
    chance = SeededRandomness(seed)
    town = build(chance)
    spots = _spots(chance, town)
    phone = _Phone(chance, _instant(MORNING), town.crossings[spots["home"]])
    for part in (_to_work, _at_work, _home_again):
        part(chance, town, spots, phone)
    named = {name: town.crossings[spots[name]] for name in ("home", "work", "lunch", "shop")}
    return as_day("A made-up day in a made-up town", TIME_ZONE, phone.items, draw(town, named))


def _spots(chance: Randomness, town: Town) -> dict[str, Crossing]:
    """Where the persona lives, works, eats and shops: crossings of the town."""
    return {
        "home": town.nearest(-2_000 + _around(chance, 250), -700 + _around(chance, 250)),
        "stop": town.nearest(-1_350, -350, on_main=True),
        "work stop": town.nearest(1_480, 900, on_main=True),
        "work": town.nearest(1_950 + _around(chance, 200), 1_150 + _around(chance, 150)),
        "lunch": town.nearest(1_500, 1_520),
        "shop stop": town.nearest(-880, 330, on_main=True),
        "shop": town.nearest(-1_250 + _around(chance, 150), 640),
    }


def _to_work(chance: Randomness, town: Town, spots: dict[str, Crossing], phone: _Phone) -> None:
    phone.rest(minutes=48 + _around(chance, 9))
    phone.walk(town.way(spots["home"], spots["stop"]))
    phone.wait(minutes=4 + _around(chance, 2))
    phone.ride(town.way(spots["stop"], spots["work stop"], by_bus=True))
    phone.walk(town.way(spots["work stop"], spots["work"]))


def _at_work(chance: Randomness, town: Town, spots: dict[str, Crossing], phone: _Phone) -> None:
    phone.rest(minutes=222 + _around(chance, 15))
    phone.walk(town.way(spots["work"], spots["lunch"]))
    phone.rest(minutes=38 + _around(chance, 6))
    phone.walk(town.way(spots["lunch"], spots["work"]))
    phone.rest(minutes=248 + _around(chance, 15))


def _home_again(chance: Randomness, town: Town, spots: dict[str, Crossing], phone: _Phone) -> None:
    phone.walk(town.way(spots["work"], spots["work stop"]))
    phone.wait(minutes=5 + _around(chance, 3))
    phone.ride(town.way(spots["work stop"], spots["shop stop"], by_bus=True))
    phone.walk(town.way(spots["shop stop"], spots["shop"]))
    phone.rest(minutes=21 + _around(chance, 5))
    phone.walk(town.way(spots["shop"], spots["home"]))
    phone.rest(minutes=215 + _around(chance, 20))


class _Phone:
    """Captures while its owner moves. `_error` drifts, as the error of a real receiver does."""

    def __init__(self, chance: Randomness, at_ms: int, here: Point) -> None:
        self.items: list[wire.Item] = []
        self._chance = chance
        self._at_s = at_ms // 1000
        self._here = here
        self._error = Point(0.0, 0.0)

    def rest(self, minutes: float) -> None:
        """Lie still indoors: some fixes on arrival, then long silence."""
        end_s = self._at_s + int(minutes * 60)
        self._note("still")
        for pause_s in (20, 35, 60, 90, 150):
            self._at_s += pause_s + int(_around(self._chance, 8))
            self._fix(self._here, 0.0, noise_m=13.0)
        while self._at_s < end_s - 900:
            self._at_s += int(1_500 + 4_200 * self._chance.fraction())
            if self._at_s < end_s - 120:
                self._fix(self._here, 0.0, noise_m=16.0)
                self._note("still")
        self._at_s = end_s

    def wait(self, minutes: float) -> None:
        """Stand at a stop, phone in hand."""
        end_s = self._at_s + int(minutes * 60)
        self._note("still")
        while self._at_s < end_s:
            self._at_s += 15 + int(_around(self._chance, 5))
            self._fix(self._here, 0.1, noise_m=6.0)

    def walk(self, way: Sequence[Point]) -> None:
        """Go along a way on foot, at a pace of one's own."""
        pace_mps = _WALKING_MPS * (1 + 0.1 * _around(self._chance, 1))
        self._along(way, pace_mps, "walking", noise_m=5.0, every_s=9)

    def ride(self, way: Sequence[Point]) -> None:
        """Take the bus: from stop to stop."""
        since_stop_m = 0.0
        for start, end in pairwise(way):
            self._along((start, end), _BUS_MPS * (1 + 0.15 * _around(self._chance, 1)), "automotive", 7.0, 8)
            since_stop_m += math.dist(start, end)
            if since_stop_m > _BUS_STOP_EVERY_M:
                since_stop_m = 0.0
                self._at_s += 22 + int(_around(self._chance, 9))
                self._fix(self._here, 0.0, noise_m=7.0)

    def _along(self, way: Sequence[Point], speed_mps: float, motion: Motion, noise_m: float, every_s: int) -> None:
        self._note(motion)
        last_fix_s = self._at_s
        for start, end in pairwise(way):
            length_m, done_m = math.dist(start, end), 0.0
            while done_m < length_m:
                self._at_s += 1
                done_m = min(length_m, done_m + speed_mps)
                part = done_m / length_m
                self._here = Point(
                    start.east_m + (end.east_m - start.east_m) * part,
                    start.north_m + (end.north_m - start.north_m) * part,
                )
                if self._at_s - last_fix_s >= every_s + int(_around(self._chance, 3)):
                    last_fix_s = self._at_s
                    self._fix(self._here, speed_mps, noise_m)
                    if len(self.items) % 8 == 0:
                        self._note(motion)

    def _fix(self, at: Point, speed_mps: float, noise_m: float) -> None:
        fresh_m = noise_m * math.sqrt(1 - _DRIFT**2)
        self._error = Point(
            self._error.east_m * _DRIFT + fresh_m * _gauss(self._chance),
            self._error.north_m * _DRIFT + fresh_m * _gauss(self._chance),
        )
        error, accuracy_m = self._error, noise_m * (0.9 + 0.8 * self._chance.fraction())
        if self._chance.fraction() < _WILD_FIX:
            error, accuracy_m = Point(150 * _gauss(self._chance), 150 * _gauss(self._chance)), 165.0
        place = Point(at.east_m + error.east_m, at.north_m + error.north_m).place
        self.items.append(
            wire.Location(
                t=self._at_s * 1000,
                lat=round(place.lat, 6),
                lon=round(place.lon, 6),
                acc=round(accuracy_m, 1),
                speed=round(max(0.0, speed_mps * (1 + 0.12 * _gauss(self._chance))), 2),
            )
        )

    def _note(self, motion: Motion) -> None:
        confidence = round(0.72 + 0.27 * self._chance.fraction(), 2)
        self.items.append(wire.Activity(t=self._at_s * 1000 + 500, type=motion, confidence=confidence))


def _around(chance: Randomness, width: float) -> float:
    return width * (2 * chance.fraction() - 1)


def _gauss(chance: Randomness) -> float:
    """A normal number, near enough: the sum of twelve even ones."""
    return sum(chance.fraction() for _ in range(12)) - 6.0


def _instant(text: str) -> int:
    at_ms = wire.parse_iso(text)
    assert at_ms is not None
    return at_ms

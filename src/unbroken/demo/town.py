"""A made-up town, by a seed: crooked streets, two main roads, a river with bridges, a park; and ways through it."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.demo.day import TownMap
from unbroken.testing.journey import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from unbroken.randomness import Randomness

CENTRE: Final = Place(50.8467, 4.3525)
_COLUMNS: Final = 17
_ROWS: Final = 11
_BLOCK_M: Final = 310.0
_CROOKED_M: Final = 75.0
_MAIN_ROWS: Final = frozenset({2, 5, 9})
_MAIN_COLUMNS: Final = frozenset({3, 8, 13})
_MISSING_STREETS: Final = 0.13

Crossing = tuple[int, int]
"""Column and row."""


class Point(NamedTuple):
    """Metres east and north of the centre."""

    east_m: float
    north_m: float

    @property
    def place(self) -> Place:
        """The same point in degrees."""
        return CENTRE.moved(north_m=self.north_m, east_m=self.east_m)


@dataclass(frozen=True, slots=True)
class Town:
    """Crossings and the streets between them; each street is known from both its ends."""

    crossings: Mapping[Crossing, Point]
    streets: Mapping[Crossing, Mapping[Crossing, bool]]
    """The neighbours of a crossing; True where the street to it is a main one."""

    def nearest(self, east_m: float, north_m: float, *, on_main: bool = False) -> Crossing:
        """The crossing nearest to a point; of a main street, if asked for."""
        candidates = [c for c in self.crossings if not on_main or any(self.streets[c].values())]
        return min(candidates, key=lambda c: math.dist(self.crossings[c], (east_m, north_m)))

    def way(self, start: Crossing, end: Crossing, *, by_bus: bool = False) -> list[Point]:
        """The best way along streets; a bus keeps to the main ones where it can."""
        best: dict[Crossing, float] = {start: 0.0}
        came_from: dict[Crossing, Crossing] = {}
        queue = [(0.0, start)]
        while queue:
            cost, here = heapq.heappop(queue)
            if here == end:
                break
            for there, is_main in self.streets[here].items():
                price = math.dist(self.crossings[here], self.crossings[there])
                price *= 5.0 if by_bus and not is_main else 1.0
                if cost + price < best.get(there, math.inf):
                    best[there], came_from[there] = cost + price, here
                    heapq.heappush(queue, (cost + price, there))
        return [self.crossings[crossing] for crossing in _back(came_from, start, end)]


def build(chance: Randomness) -> Town:
    """The town of a seed."""
    crossings = {
        (column, row): Point(
            (column - (_COLUMNS - 1) / 2) * _BLOCK_M + _CROOKED_M * (2 * chance.fraction() - 1),
            (row - (_ROWS - 1) / 2) * _BLOCK_M + _CROOKED_M * (2 * chance.fraction() - 1),
        )
        for column in range(_COLUMNS)
        for row in range(_ROWS)
    }
    streets: dict[Crossing, dict[Crossing, bool]] = {crossing: {} for crossing in crossings}
    for here, there, is_main in _grid():
        is_bridge = _river_side(crossings[here]) != _river_side(crossings[there])
        if is_main or (not is_bridge and chance.fraction() >= _MISSING_STREETS):
            streets[here][there] = streets[there][here] = is_main
    reached = _reached(streets, (min(_MAIN_COLUMNS), min(_MAIN_ROWS)))
    return Town(
        {crossing: point for crossing, point in crossings.items() if crossing in reached},
        {crossing: ways for crossing, ways in streets.items() if crossing in reached},
    )


def draw(town: Town, places: Mapping[str, Point]) -> TownMap:
    """The town as lines in degrees."""
    lines: dict[bool, list[tuple[Place, ...]]] = {True: [], False: []}
    for here, ways in town.streets.items():
        for there, is_main in ways.items():
            if here < there:
                lines[is_main].append((town.crossings[here].place, town.crossings[there].place))
    return TownMap(
        streets=tuple(lines[False]),
        main_streets=tuple(lines[True]),
        river=tuple(Point(_river_east_m(north_m), north_m).place for north_m in range(-2_400, 2_401, 60)),
        parks=(_park(Point(900.0, 820.0), 420.0), _park(Point(-1_700.0, 1_100.0), 260.0)),
        places=tuple((name, point.place) for name, point in places.items()),
    )


def _grid() -> Iterator[tuple[Crossing, Crossing, bool]]:
    for column in range(_COLUMNS):
        for row in range(_ROWS):
            if column + 1 < _COLUMNS:
                yield (column, row), (column + 1, row), row in _MAIN_ROWS
            if row + 1 < _ROWS:
                yield (column, row), (column, row + 1), column in _MAIN_COLUMNS


def _reached(streets: Mapping[Crossing, Mapping[Crossing, bool]], start: Crossing) -> set[Crossing]:
    """Where one can get to from `start`; a street that chance has cut off is no place to live."""
    reached, waiting = {start}, [start]
    while waiting:
        fresh = streets[waiting.pop()].keys() - reached
        reached |= fresh
        waiting += sorted(fresh)
    return reached


def _river_east_m(north_m: float) -> float:
    return -420.0 + 260.0 * math.sin(north_m / 780.0) + 90.0 * math.sin(north_m / 310.0 + 1.0)


def _river_side(point: Point) -> bool:
    return point.east_m > _river_east_m(point.north_m)


def _park(middle: Point, radius_m: float) -> tuple[Place, ...]:
    corners = []
    for step in range(24):
        angle = step / 24 * math.tau
        reach_m = radius_m * (1 + 0.18 * math.sin(3 * angle + middle.east_m))
        corners.append(
            Point(middle.east_m + reach_m * math.cos(angle), middle.north_m + 0.7 * reach_m * math.sin(angle))
        )
    return tuple(corner.place for corner in corners)


def _back(came_from: Mapping[Crossing, Crossing], start: Crossing, end: Crossing) -> list[Crossing]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]

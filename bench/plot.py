"""The plot: what each side does in a second of CPU, a bar for each, and what a call costs over sizes. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.contest import BARE, DIY, JETSTREAM, POSTGRES, SQLITE
from bench.grouped import GROUPED
from bench.pgbench import INSERT, LINK
from unbroken.demo import svg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.measure import Result
    from bench.told import Grown, Told

_WIDTH: Final = 900
_LEFT: Final = 250
_RIGHT: Final = 90
_BAR_HIGH: Final = 16
_GAP: Final = 22
_TOP: Final = 64
_LINES_HIGH: Final = 240
_WORKLOADS: Final = ("register", "link", "ingest", "timeline", "mixed")
_COLOURS: Final = {
    SQLITE: "#1b6ca8",
    POSTGRES: "#2a9d6f",
    JETSTREAM: "#86bf5a",
    DIY: "#c8553d",
    BARE: "#b9bec4",
    GROUPED: "#b9bec4",
    INSERT: "#b9bec4",
    LINK: "#b9bec4",
}
_DASHES: Final = {"register": None, "link": "6 3", "ingest": "2 3", "timeline": "9 3 2 3"}
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.strong{font-weight:600}.faint{fill:#6a737d}"
    ".grid{stroke:#d8dee4;stroke-width:1}.back{fill:#fff}"
)


def draw(told: Told) -> str:
    """The plot as SVG."""
    groups = [group for workload in _WORKLOADS if (group := _group(told, workload))]
    bars_end = _TOP + sum(_GAP + _BAR_HIGH * len(group) + 8 for group in groups)
    height = bars_end + (_LINES_HIGH + 60 if told.grown else 20)
    return svg.tag(
        "svg",
        svg.title("What each does in a second of CPU, and what a call costs over sizes"),
        svg.tag("style", _STYLE),
        svg.tag("rect", x=0, y=0, width=_WIDTH, height=height, class_="back"),
        *_bars(groups, bars_end),
        *(_lines(told.grown, bars_end + 40) if told.grown else ()),
        viewBox=f"0 0 {_WIDTH} {height}",
        xmlns="http://www.w3.org/2000/svg",
        role="img",
    ) + "\n"  # fmt: skip


def _group(told: Told, workload: str) -> list[Result]:
    found = [told.find(workload, side) for side in _COLOURS]
    return [one for one in found if one is not None]


class Scale:
    """Numbers to places between two ends, each decade as wide as any other.

    Args:
        low: the least number; below it everything is at the beginning.
        high: the greatest.
    """

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._low = math.floor(math.log10(low))
        self._high = max(math.ceil(math.log10(high)), self._low + 1)
        self._begin = begin
        self._end = end

    def at(self, number: float) -> float:
        """Where a number stands."""
        part = (math.log10(number) - self._low) / (self._high - self._low)
        return self._begin + max(part, 0.0) * (self._end - self._begin)

    def decades(self) -> list[float]:
        """The powers of ten in it."""
        return [10.0**power for power in range(self._low, self._high + 1)]


def _bars(groups: Sequence[Sequence[Result]], bottom: float) -> Iterator[str]:
    rates = [one.per_core_s for group in groups for one in group] or [1.0]
    scale = Scale(min(rates) / 1.5, max(rates), _LEFT, _WIDTH - _RIGHT)
    yield svg.text(12, 24, "Requests for each second of CPU, 64 clients, servers behind it included", "strong")
    for decade in scale.decades():
        x = scale.at(decade)
        yield svg.tag("line", x1=x, x2=x, y1=_TOP - 12, y2=bottom, class_="grid")
        yield svg.text(x, _TOP - 18, f"{decade:,.0f}", "faint", "middle")
    y = float(_TOP)
    for group in groups:
        yield svg.text(12, y + 14, group[0].workload, "strong")
        y += _GAP
        for one in group:
            yield from _bar(one, scale, y)
            y += _BAR_HIGH
        y += 8


def _bar(one: Result, scale: Scale, y: float) -> Iterator[str]:
    end = scale.at(one.per_core_s)
    yield svg.text(_LEFT - 8, y + 12, one.side, "", "end")
    yield svg.tag("rect", x=_LEFT, y=y + 2, width=max(end - _LEFT, 1.0), height=_BAR_HIGH - 4, fill=_COLOURS[one.side])
    yield svg.text(end + 6, y + 12, f"{one.per_core_s:,.0f}", "faint")


def _lines(grown: Sequence[Grown], top: float) -> Iterator[str]:
    users = Scale(min(one.users for one in grown), max(one.users for one in grown), _LEFT, _WIDTH - _RIGHT)
    bottom = top + _LINES_HIGH - 30
    costs = Scale(min(one.of_limit for one in grown), max(one.of_limit for one in grown), bottom, top)
    yield svg.text(12, top - 14, "CPU of a call over stored users, in requests to bare ASGI", "strong")
    for decade in users.decades():
        x = users.at(decade)
        yield svg.tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid")
        yield svg.text(x, bottom + 18, f"{decade:,.0f}", "faint", "middle")
    for decade in costs.decades():
        y = costs.at(decade)
        yield svg.tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        yield svg.text(_LEFT - 8, y + 4, f"{decade:,.0f}", "faint", "end")
    for side, workload in sorted({(one.side, one.workload) for one in grown}):
        line = sorted((one.users, one.of_limit) for one in grown if (one.side, one.workload) == (side, workload))
        points = [(users.at(count), costs.at(cost)) for count, cost in line]
        yield svg.tag(
            "path", svg.title(f"{workload} on {side}"), d=svg.path(points), fill="none", stroke=_COLOURS[side],
            stroke_width=2, stroke_dasharray=_DASHES[workload],
        )  # fmt: skip
        x, y = points[0]
        yield svg.text(x - 10, y + 4, f"{workload}, {side}", "faint", "end")

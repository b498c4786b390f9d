"""The trajectory of an event: its fixes, thinned to waypoints, and the same as an encoded polyline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from unbroken.domain.timeline.item import Fix


def waypoints(fixes: Sequence[Fix], start_ms: int, end_ms: int | None) -> list[Fix]:
    """The fixes within an event, one a second, in order; `end_ms` is None while it is open."""
    within: list[Fix] = []
    for fix in fixes:
        if fix.at_ms < start_ms or (end_ms is not None and fix.at_ms > end_ms):
            continue
        if not within or fix.at_ms // 1000 != within[-1].at_ms // 1000:
            within.append(fix)
    return within


def polyline(points: Iterable[tuple[float, float]]) -> str:
    """Points (lat, lon) in the encoded polyline algorithm format, precision five.

    The format: https://developers.google.com/maps/documentation/utilities/polylinealgorithm.
    """
    written: list[str] = []
    before = (0, 0)
    for lat, lon in points:
        here = (round(lat * 1e5), round(lon * 1e5))
        for at in (0, 1):
            written.extend(_chunks(here[at] - before[at]))
        before = here
    return "".join(written)


def _chunks(number: int) -> Iterator[str]:
    """Five bits a character, the lowest first; the sign is the lowest bit."""
    rest = ~(number << 1) if number < 0 else number << 1
    while rest >= 0x20:
        yield chr((rest & 0x1F | 0x20) + 63)
        rest >>= 5
    yield chr(rest + 63)

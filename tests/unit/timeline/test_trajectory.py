"""The way of an event, as waypoints and as an encoded polyline."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from timeline_stories import NOON, Story

from unbroken.domain.timeline.item import Fix
from unbroken.domain.timeline.trajectory import polyline, waypoints


def decoded(text: str) -> list[tuple[int, int]]:
    numbers, rest, shift = [], 0, 0
    for char in text:
        chunk = ord(char) - 63
        rest |= (chunk & 0x1F) << shift
        shift += 5
        if chunk < 0x20:
            numbers.append(~(rest >> 1) if rest & 1 else rest >> 1)
            rest = shift = 0
    points, lat, lon = [], 0, 0
    for north, east in zip(numbers[::2], numbers[1::2], strict=True):
        lat, lon = lat + north, lon + east
        points.append((lat, lon))
    return points


def test_the_example_of_the_format_is_encoded_as_its_page_says() -> None:
    assert polyline([(38.5, -120.2), (40.7, -120.95), (43.252, -126.453)]) == "_p~iF~ps|U_ulLnnqC_mqNvxq`@"


def test_no_points_are_an_empty_line() -> None:
    assert polyline([]) == ""


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=20))
def test_what_is_encoded_can_be_decoded(points: list[tuple[float, float]]) -> None:
    assert decoded(polyline(points)) == [(round(lat * 1e5), round(lon * 1e5)) for lat, lon in points]


def test_waypoints_are_the_fixes_within_the_event_one_a_second() -> None:
    story = Story().fix().wait(1).fix().wait(0.001).fix().wait(1).fix().wait(1).fix()
    fixes = [item for item in story.items if isinstance(item, Fix)]

    within = waypoints(fixes, NOON + 30_000, NOON + 150_000)

    assert [fix.at_ms - NOON for fix in within] == [60_000, 120_060]
    assert len(waypoints(fixes, NOON, None)) == 4

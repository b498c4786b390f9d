from __future__ import annotations

from itertools import pairwise

import pytest

from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.wire import Activity, Location


def fixes(journey, start_ms=0):
    return [item for item in journey.items(start_ms) if isinstance(item, Location)]


def test_a_place_moved_lies_that_far_away():
    assert HOME.distance_m(HOME.moved(north_m=300, east_m=400)) == pytest.approx(500, abs=1)


def test_items_come_in_order_of_time_after_the_start():
    items = Journey(HOME).stay(5).walk(CAFE).ride(OFFICE).items(1_000_000)
    times = [item.t for item in items]
    assert times[0] > 1_000_000
    assert all(earlier < later for earlier, later in pairwise(times))


def test_a_walk_goes_at_walking_speed_to_its_end():
    steps = fixes(Journey(HOME).walk(CAFE))
    assert HOME.distance_m(CAFE) / 1.4 == pytest.approx(steps[-1].t / 1000, abs=10)
    last = HOME._replace(lat=steps[-1].lat, lon=steps[-1].lon)
    assert last.distance_m(CAFE) < 15


def test_a_stay_stays_and_tells_a_fix_a_minute():
    resting = fixes(Journey(HOME).stay(10))
    assert len(resting) == 10
    assert {(fix.lat, fix.lon) for fix in resting} == {(round(HOME.lat, 6), round(HOME.lon, 6))}


def test_the_phone_notices_how_it_is_moved():
    kinds = [item.type for item in Journey(HOME).stay(2).walk(CAFE).ride(OFFICE).items(0) if isinstance(item, Activity)]
    assert kinds == ["still", "walking", "automotive"]


def test_a_journey_is_a_value_that_others_can_go_on_from():
    start = Journey(HOME).stay(2)
    assert start.walk(CAFE) == start.walk(CAFE)
    assert start.at == HOME

from __future__ import annotations

from itertools import pairwise

import pytest

from unbroken.demo.persona import day_of
from unbroken.demo.story import cut
from unbroken.demo.town import build
from unbroken.randomness import SeededRandomness
from unbroken.testing.journey import Place
from unbroken.wire import Activity, Location

SEEDS = range(1, 26)


def fixes(day):
    return [item for item in day.items if isinstance(item, Location)]


def place(fix):
    return Place(fix.lat, fix.lon)


def test_a_seed_names_the_day():
    assert day_of(4).items == day_of(4).items
    assert day_of(4).items != day_of(5).items


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_is_believable(seed):
    day = day_of(seed)
    seen = fixes(day)
    assert 13 <= (day.end_ms - day.start_ms) / 3_600_000 <= 18
    assert 300 <= len(seen) <= 2_500
    gaps_s = [(after.t - before.t) / 1000 for before, after in pairwise(seen)]
    assert max(gaps_s) > 1_500, "no silence"
    assert sum(gap <= 20 for gap in gaps_s) > len(gaps_s) / 2, "no movement"
    good = [place(fix) for fix in seen if fix.acc < 100]
    assert max(there.distance_m(good[0]) for there in good) > 2_500, "never left home"
    assert good[-1].distance_m(good[0]) < 120, "never came home"


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_jumps_but_for_wild_fixes_that_say_so(seed):
    good = [fix for fix in fixes(day_of(seed)) if fix.acc < 100]
    for before, after in pairwise(good):
        metres = place(before).distance_m(place(after))
        assert metres < 25 * (after.t - before.t) / 1000 + 60, f"{metres} m in {(after.t - before.t) / 1000} s"


def test_the_phone_knows_walking_from_riding():
    kinds = {item.type for item in day_of(1).items if isinstance(item, Activity)}
    assert kinds == {"still", "walking", "automotive"}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_place_of_a_town_can_be_reached(seed):
    town = build(SeededRandomness(seed))
    home, far = town.nearest(-2_000, -700), town.nearest(1_950, 1_150)
    way = town.way(home, far)
    assert way[0] == town.crossings[home]
    assert way[-1] == town.crossings[far]


def test_a_bus_keeps_to_the_main_streets():
    town = build(SeededRandomness(1))
    start, end = town.nearest(-1_350, -350, on_main=True), town.nearest(1_480, 900, on_main=True)
    at = {point: crossing for crossing, point in town.crossings.items()}
    way = [at[point] for point in town.way(start, end, by_bus=True)]
    assert all(town.streets[here][there] for here, there in pairwise(way))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cuts_come_in_order_and_between_items(seed):
    items = day_of(seed).items
    cuts = cut(items)
    order = [cuts.reinstall_ms, cuts.tablet_ms, cuts.offline_ms, cuts.new_phone_ms, cuts.late_ms]
    assert order == sorted(set(order))
    assert not {item.t for item in items} & set(order)
    assert items[0].t < order[0]
    assert order[-1] < items[-1].t

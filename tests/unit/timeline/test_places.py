"""Where a person returns to, and what it is to them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from unbroken.domain.timeline.places import MAX_PLACES, Places, Significance, Stay, add, freeze, labels, thaw

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_699_833_600_000  # 2023-11-13, midnight UTC
FLAT, OFFICE, BAR, NEW_FLAT = (60.17, 24.94), (60.20, 24.96), (60.16, 24.95), (60.25, 25.05)


class Life:
    """A person who goes from stay to stay."""

    def __init__(self) -> None:
        self.places = Places()
        self.ids: list[str] = []

    def be(self, where: tuple[float, float], day: int, from_hour: float, to_hour: float, offset_h: float = 0) -> str:
        shift = round(offset_h * HOUR)
        begin, end = (MONDAY + day * DAY + round(hour * HOUR) - shift for hour in (from_hour, to_hour))
        stay = Stay(f"{len(self.ids):026d}"[::-1], begin, end, *where, shift)
        self.places, place_id = add(self.places, stay)
        self.ids.append(place_id)
        return place_id

    def work_week(self, day: int, home: tuple[float, float] = FLAT) -> None:
        for each in range(day, day + 7):
            self.be(home, each, 0, 8)
            if each % 7 < 5:
                self.be(OFFICE, each, 9, 17)
            self.be(home, each, 18, 24)

    def label(self, place_id: str) -> Significance:
        return labels(self.places)[place_id]


def test_home_is_where_the_nights_are_and_work_where_the_weekdays_are() -> None:
    life = Life()
    life.work_week(0)

    assert life.label(life.ids[0]) is Significance.HOME
    assert life.label(life.ids[1]) is Significance.WORK


def test_two_nights_are_not_yet_a_home() -> None:
    life = Life()
    for day in range(2):
        life.be(FLAT, day, 0, 8)

    assert life.label(life.ids[0]) is Significance.NONREGULAR


def test_stays_within_a_hundred_metres_are_at_one_place_and_beyond_it_at_two() -> None:
    life = Life()
    here = life.be(FLAT, 0, 1, 2)

    assert life.be((FLAT[0] + 0.0009, FLAT[1]), 0, 3, 4) == here
    assert life.be((FLAT[0] + 0.0020, FLAT[1]), 0, 5, 6) != here


def test_a_place_on_the_antimeridian_is_one_place() -> None:
    life = Life()

    assert life.be((0.0, 179.9999), 0, 1, 2) == life.be((0.0, -179.9999), 0, 3, 4)


def test_a_first_visit_is_new_a_second_nonregular_and_the_fourth_day_makes_it_regular() -> None:
    life = Life()
    seen = [life.label(life.be(BAR, day, 20, 22)) for day in range(0, 12, 3)]

    assert seen == [Significance.NEW, Significance.NONREGULAR, Significance.NONREGULAR, Significance.REGULAR]


def test_a_holiday_moves_nobody() -> None:
    life = Life()
    life.work_week(0)
    for day in range(7, 13):
        life.be(NEW_FLAT, day, 0, 24)

    assert life.label(life.ids[0]) is Significance.HOME


def test_who_has_moved_is_at_home_in_the_new_flat() -> None:
    life = Life()
    life.work_week(0)
    for week in range(1, 5):
        life.work_week(7 * week, NEW_FLAT)

    assert life.label(life.ids[-1]) is Significance.HOME
    assert life.label(life.ids[0]) is Significance.NONREGULAR
    assert life.label(life.ids[1]) is Significance.WORK


def test_the_night_is_the_local_one() -> None:
    life = Life()
    for day in range(4):
        life.be(FLAT, day, 0, 6, offset_h=9)
        life.be(BAR, day, 15, 21, offset_h=9)

    assert life.label(life.ids[0]) is Significance.HOME
    assert life.label(life.ids[1]) is not Significance.HOME


def test_a_weekend_at_the_office_is_no_work() -> None:
    life = Life()
    for day in (5, 6, 12, 13):
        life.be(OFFICE, day, 9, 17)

    assert Significance.WORK not in labels(life.places).values()


def test_an_open_stay_has_a_place_but_changes_none() -> None:
    life = Life()
    life.be(FLAT, 0, 0, 8)
    before = freeze(life.places)

    add(life.places, Stay("x" * 26, MONDAY + DAY, MONDAY + DAY, *BAR, 0))

    assert freeze(life.places) == before


def test_a_life_on_the_road_is_bounded_and_does_not_forget_home() -> None:
    life = Life()
    life.work_week(0)
    for day in range(7, 7 + 3 * MAX_PLACES):
        life.be((10.0 + day / 100, 20.0), day, 12, 14)

    assert len(life.places.by_id) == MAX_PLACES
    assert life.label(life.ids[0]) is Significance.HOME
    assert len(freeze(life.places)) < 8_192


stays = st.lists(
    st.tuples(st.sampled_from([FLAT, OFFICE, BAR, NEW_FLAT]), st.floats(0.1, 60), st.floats(0, 30)), max_size=40
)


@settings(deadline=None)
@given(stays)
def test_places_may_be_frozen_after_any_stay(visits: list[tuple[tuple[float, float], float, float]]) -> None:
    at, whole, cut = MONDAY, Places(), Places()
    for number, (where, hours, pause) in enumerate(visits):
        stay = Stay(f"{number:026d}"[::-1], at, at + round(hours * HOUR), *where, 0)
        at = stay.end_ms + round(pause * HOUR)
        whole, one = add(whole, stay)
        cut, other = add(thaw(freeze(cut)), stay)
        assert one == other

    assert thaw(freeze(cut)) == whole
    assert labels(thaw(freeze(cut))) == labels(whole)
    assert list(labels(whole).values()).count(Significance.HOME) <= 1

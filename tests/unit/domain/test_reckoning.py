"""The time that deleting goes by, from a row of readings of a clock."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.domain.payload import DAY_MS as DAY
from unbroken.domain.reckoning import BELIEVED_AFTER_MS, Reckoning

HOUR = DAY // 24
T = 1_790_000_000_000
YEAR = 365 * DAY
instants = st.integers(0, T + 10 * YEAR)


def hourly(from_ms: int, hours: int) -> list[int]:
    return [from_ms + hour * HOUR for hour in range(hours)]


def after(readings: list[int], begun: int = T) -> Reckoning:
    return reduce(Reckoning.read, readings, Reckoning(begun))


def test_a_clock_that_goes_on_is_believed_at_once():
    assert after([*hourly(T, 30), T + 2 * DAY + 5 * HOUR]) == Reckoning(T + 2 * DAY + 5 * HOUR)


@pytest.mark.parametrize("slip", [YEAR, -YEAR, DAY + 1])
def test_a_clock_that_jumps_and_comes_back_has_changed_nothing(slip: int):
    away = after([*hourly(T, 5), *hourly(T + 5 * HOUR + slip, 48)])
    assert away.is_away
    assert away.deletes_by_ms <= T + 5 * HOUR
    assert away.read(T + 54 * HOUR) == Reckoning(T + 54 * HOUR)


@pytest.mark.parametrize("slip", [YEAR, -YEAR])
def test_one_that_goes_on_from_there_is_believed_after_three_days(slip: int):
    assert after(hourly(T + slip, 72)).is_away
    assert after(hourly(T + slip, 73)) == Reckoning(T + slip + BELIEVED_AFTER_MS)


def test_one_that_jumps_again_begins_again():
    twice = [*hourly(T + YEAR, 70), *hourly(T + 2 * YEAR, 70)]
    assert after(twice) == Reckoning(T, T + 2 * YEAR, T + 2 * YEAR + 69 * HOUR)
    assert after([*twice, T + YEAR]) == Reckoning(T, T + YEAR, T + YEAR)


@given(st.lists(instants, min_size=1, max_size=12), instants)
def test_nothing_is_ever_deleted_by_a_time_ahead_of_the_clock(readings: list[int], begun: int):
    assert after(readings, begun).deletes_by_ms <= readings[-1]

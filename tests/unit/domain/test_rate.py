"""How often somebody may call."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from unbroken.domain.rate import MINUTE_MS, Rate, paid_at, wait_ms


def allowed(rate: Rate, asked_at: list[float]) -> list[float]:
    """The instants of the calls that were let through, of one caller who asks at these."""
    paid, through = 0.0, []
    for now_ms in asked_at:
        after = paid_at(rate, paid, now_ms)
        if wait_ms(rate, after, now_ms) <= 0:
            paid = after
            through.append(now_ms)
    return through


def test_a_burst_and_then_the_rate():
    rate = Rate(per_minute=600)
    through = allowed(rate, [10.0 * tick for tick in range(6 * 6_000 + 1)])  # ten times too often, for six minutes
    assert len(through) == 6 * rate.per_minute + rate.burst
    assert through[: rate.burst] == [10.0 * tick for tick in range(rate.burst)]


def test_a_rate_of_a_few_lets_a_few_come_at_once():
    assert len(allowed(Rate(per_minute=1), [0.0] * 50)) == 10


@given(st.integers(1, 100_000), st.floats(0, 1e9), st.floats(0, 1e9))
def test_whoever_waits_as_told_is_let_through(per_minute, paid, now_ms):
    rate = Rate(per_minute)
    wait = max(0.0, wait_ms(rate, paid_at(rate, paid, now_ms), now_ms))
    assert wait_ms(rate, paid_at(rate, paid, now_ms + wait), now_ms + wait) < 1e-3


@settings(deadline=None)
@given(st.integers(1, 1_000), st.lists(st.floats(0, 5_000), max_size=100))
def test_no_minute_has_more_than_a_burst_and_a_rate(per_minute, pauses_ms):
    rate, now_ms, asked = Rate(per_minute), 0.0, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        asked += [now_ms] * 3
    through = allowed(rate, asked)
    for begin in through:
        assert sum(begin <= at < begin + MINUTE_MS for at in through) <= rate.burst + rate.per_minute + 1

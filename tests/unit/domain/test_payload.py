"""Which items count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.domain.install import State
from unbroken.domain.ledger.people import Span
from unbroken.domain.payload import OUTCOMES, Copy, Outcome, clock_offset_ms, copy_that_counts, judge

DAY = 86_400_000
REGISTERED = 1_000_000


def span(from_ms, to_ms, state, outcome=None):
    return Span(b"i", b"u", state, outcome or OUTCOMES[state], from_ms, to_ms, b"f")


SPANS = [
    span(REGISTERED, REGISTERED + 100, State.ACTIVE, Outcome.BEFORE_LINK),
    span(REGISTERED + 100, REGISTERED + 200, State.ACTIVE),
    span(REGISTERED + 200, REGISTERED + 300, State.DISABLED),
    span(REGISTERED + 300, REGISTERED + 400, State.STANDBY),
    span(REGISTERED + 400, None, State.SUPERSEDED),
]


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (-1, Outcome.BEFORE_INSTALL),
        (0, Outcome.BEFORE_LINK),
        (99, Outcome.BEFORE_LINK),
        (100, Outcome.ACCEPTED),
        (199, Outcome.ACCEPTED),
        (200, Outcome.DISABLED),
        (300, Outcome.STANDBY),
        (400, Outcome.SUPERSEDED),
    ],
)
def test_the_moment_of_capture_decides(after, outcome):
    assert judge(REGISTERED + after, REGISTERED + 10_000, SPANS, 30)[0] is outcome


def test_an_item_from_the_future_is_of_a_bad_clock_beyond_ten_minutes():
    captured = REGISTERED + 150
    assert judge(captured, captured - 600_000, SPANS, 30)[0] is Outcome.ACCEPTED
    assert judge(captured, captured - 600_001, SPANS, 30)[0] is Outcome.BAD_CLOCK


def test_an_item_is_too_late_after_the_late_window():
    captured = REGISTERED + 150
    assert judge(captured, captured + 30 * DAY, SPANS, 30)[0] is Outcome.ACCEPTED
    assert judge(captured, captured + 30 * DAY + 1, SPANS, 30)[0] is Outcome.TOO_LATE


@pytest.mark.parametrize(
    ("ahead_ms", "offset_ms"),
    [(0, 0), (29_999, 0), (-29_999, 0), (30_000, 30_000), (-30_000, -30_000), (90_499, 90_000), (90_500, 91_000)],
)
def test_a_clock_offset_under_half_a_minute_counts_as_none(ahead_ms, offset_ms):
    assert clock_offset_ms(10_000_000 + ahead_ms, 10_000_000) == offset_ms


COPIES = st.builds(
    Copy,
    received_at=st.integers(0, 5),
    offset_ms=st.sampled_from([0, 30_000, -30_000, 90_000]),
    payload_id=st.sampled_from("abc"),
)


@given(COPIES, COPIES, COPIES)
def test_which_copy_counts_does_not_depend_on_the_order_they_are_met_in(one, two, three):
    assert copy_that_counts(one, two) == copy_that_counts(two, one)
    assert copy_that_counts(copy_that_counts(one, two), three) == copy_that_counts(one, copy_that_counts(two, three))


def test_of_two_copies_the_earliest_receipt_and_the_smallest_offset_count():
    assert copy_that_counts(Copy(5, 0, "a"), Copy(3, 60_000, "b")) == Copy(3, 0, "b")
    assert copy_that_counts(Copy(5, -60_000, "a"), Copy(6, 60_000, "b")) == Copy(5, 60_000, "a")


HOUR = 3_600_000


def test_the_bound_after_a_handover_is_that_of_the_activation_which_it_ended():
    first, second = span(0, 10 * HOUR, State.ACTIVE), span(10 * HOUR, 20 * HOUR, State.SUPERSEDED)
    spans = [first, second, span(20 * HOUR, 30 * HOUR, State.ACTIVE), span(30 * HOUR, None, State.DISABLED)]

    def outcome(captured, received, hours=2):
        return judge(captured, received, spans, 30, hours)[0]

    assert outcome(HOUR, 12 * HOUR) is Outcome.ACCEPTED
    assert outcome(HOUR, 12 * HOUR + 1) is Outcome.TOO_LATE
    assert outcome(HOUR, 25 * HOUR) is Outcome.TOO_LATE, "that it is active again does not matter"
    assert outcome(HOUR, 25 * HOUR, hours=0) is Outcome.ACCEPTED
    assert outcome(12 * HOUR, 25 * HOUR) is Outcome.SUPERSEDED, "it never counted"
    assert outcome(25 * HOUR, 90 * HOUR) is Outcome.ACCEPTED, "no other install has taken over"

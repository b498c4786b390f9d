"""Beliefs compared: what counts, and whether it lies within what counts now."""

from __future__ import annotations

import pytest

from unbroken.domain.install import State
from unbroken.domain.ledger.belief import counting, holds
from unbroken.domain.ledger.people import Span
from unbroken.domain.payload import Outcome


def span(from_ms, to_ms, outcome=Outcome.ACCEPTED, user=b"u", install=b"i"):
    return Span(install, user, State.ACTIVE, outcome, from_ms, to_ms, b"f")


def test_only_activations_of_the_user_count_and_only_up_to_the_instant():
    spans = [
        span(40, None),
        span(0, 10),
        span(10, 20, Outcome.SUPERSEDED),
        span(20, 30, user=b"v"),
        span(30, 40, Outcome.OVERLAPS),
    ]
    assert counting(spans, b"u", 50) == [(b"i", 0, 10), (b"i", 40, 50)]
    assert counting(spans, b"u", 40) == [(b"i", 0, 10)]
    assert counting(spans, b"u", 5) == [(b"i", 0, 5)]


@pytest.mark.parametrize(
    ("then", "is_held"),
    [
        ((b"i", 0, 20), True),
        ((b"i", 5, 15), True),
        ((b"i", 0, 21), False),
        ((b"i", 25, 30), False),
        ((b"i", 30, 40), True),
        ((b"i", 15, 35), False),
        ((b"j", 0, 5), False),
    ],
)
def test_a_stretch_is_held_by_activations_without_a_gap(then, is_held):
    assert holds([(b"i", 0, 10), (b"i", 10, 20), (b"i", 30, 40)], [then]) is is_held

"""A frozen state is small, stable and exact."""

from __future__ import annotations

import pytest
from timeline_stories import USER, Story, dealt

from unbroken.domain.timeline.fold import fold, start
from unbroken.domain.timeline.freeze import StateVersionError, freeze, thaw
from unbroken.domain.timeline.pieces import Bin, Halt, Kind, Run
from unbroken.domain.timeline.policy import MAX_BINS, MAX_RUNS, MAX_SOURCES, MOST_MS, SPEED_EDGES_MPS, VOTES
from unbroken.domain.timeline.state import Spot, State

WIDEST = (899_999_999, 1_799_999_999)
NOW = 1_900_000_000_000


def fullest() -> State:
    """A state with all room taken, and numbers as large as they can be."""
    everyone = (1 << MAX_SOURCES) - 1
    spot = Spot(NOW, *WIDEST, 999.0)
    state = State(
        USER, at_ms=NOW, first_ms=1, since_checkpoint=500, fresh=everyone, fresh_source=7, last=spot, held=spot
    )
    state.sources = [(b"i" * 12, b"a" * 12)] * MAX_SOURCES
    state.votes, state.vote, state.vote_ms, state.voted_to_ms = [MOST_MS] * len(VOTES), 4, NOW, NOW
    state.halt = Halt(
        1, NOW, *WIDEST, everyone, 7, inferred=True, count=10**9, sum_lat=10**13, sum_lon=-(10**13), sum_m2=10**12
    )
    state.halt.settle()
    state.far_m, state.from_lat, state.from_lon = 10**9, *WIDEST
    for at in range(MAX_RUNS):
        where = tuple(number * (-1) ** at for number in WIDEST)
        buckets, votes = [MOST_MS] * (len(SPEED_EDGES_MPS) + 1), [MOST_MS] * len(VOTES)
        state.runs.append(
            Run(Kind.FAST, NOW * at, NOW * (at + 1), *where, everyone, 7, 10**10, MOST_MS, buckets, votes)
        )
    for at in range(MAX_BINS):
        near = (WIDEST[0] - 9_000 * (at % 2), WIDEST[1] - 9_000 * (at % 2))
        piece = Bin(
            NOW + at * 470_000,
            NOW + at * 470_000,
            NOW + at * 470_000,
            *near,
            everyone,
            7,
            470_000,
            [470_000] * len(VOTES),
        )
        piece.count, piece.sum_lat, piece.sum_lon, piece.last_lat, piece.last_lon = 400, 10**6, 10**6, *WIDEST
        state.bins.append(piece)
    return state


def test_the_fullest_state_fits_two_kilobytes() -> None:
    assert len(freeze(fullest())) <= 2048


def test_the_fullest_state_comes_back_whole() -> None:
    assert thaw(freeze(fullest())) == fullest()


def test_a_state_that_froze_yesterday_is_read_today() -> None:
    """These bytes must never change without a new version."""
    story = Story().stay(7).go(3, 1.4).feel("walking")

    state = fold(start(USER), dealt(story.items, [5])).state

    assert freeze(state).hex() == FROZEN


def test_bytes_of_another_version_are_refused() -> None:
    with pytest.raises(StateVersionError, match="fold again"):
        thaw(b"\x00" + freeze(start(USER))[1:])


FROZEN = (
    "0118757365722d3030303030303180bff4fef962c0c9b2fef96228000418696e7374616c6c2d303030301861637469766174"
    "696f6e303018696e7374616c6c2d303030311861637469766174696f6e303104020280bff4fef962c2daebbd04eeaaf0ed01"
    "666666666666f63f00010280bff4fef96280bff4fef962000000000002bff541c0b12eb1fa01b1f70306000012ec18b45cac"
    "0cf0039eebeabd0490cbeeed01040800c0b802e002a20a0204029208000000c0b802000000000000000000000000c0a907f2"
    "34ce65000402900d0000c0a90700000000000000000000000000a09c01a09c01b061e0c301040200000000000004f40dfc1b"
    "f40dfc1b00a09c01a09c01e81bf837040200000000000004f60dfc1bf60dfc1b00a09c01a09c01ea1bf83704020000000000"
    "0004f40dfa1bf40dfa1b00a09c01a09c01ea1bf637040200000000000004f40dfc1bf40dfc1b"
)

"""Rounds over two tables in memory, the source changing at every page: they converge, and no constraint is broken.

The table is that of spans: two open spans of one user are refused, as PostgreSQL and SQLite refuse them.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken.flow.move import rounds
from unbroken.flow.move.rounds import beside_writers, without_writers
from unbroken.store.contract import ConstraintViolation

ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may be busy with other things."""

WIDTH = 2
KEYS = st.tuples(st.integers(0, 5), st.integers(0, 3))  # install, from
SPANS = st.tuples(st.integers(0, 2), st.booleans())  # user, is it open
STEPS = st.lists(st.tuples(KEYS, st.one_of(st.none(), SPANS)), max_size=6)
"""What happens to the source: a span is set, or gone."""


@pytest.fixture(autouse=True, scope="module")
def _small_pages():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "ROWS_FIRST", 3)
        patch.setattr(rounds, "next_limit", lambda limit, _: limit)
        yield


class Table:
    """Rows by key, none of which contradicts another."""

    width = WIDTH

    def __init__(self):
        self.rows = {}

    def set(self, key, span):
        """What a call does to a live table: whoever was open before is closed first."""
        if span is None:
            self.rows.pop(key, None)
            return
        user, is_open = span
        if is_open:
            self.rows = {one: (u, o and u != user) for one, (u, o) in self.rows.items()}
        self.rows[key] = span

    async def between(self, after, until, limit=None):
        keys = [key for key in sorted(self.rows) if (after is None or key > after) and (until is None or key <= until)]
        return [key + self.rows[key] for key in keys[:limit]]

    async def change(self, found):
        after = {key: span for key, span in self.rows.items() if key not in found.away}
        for row in found.lacking:
            if row[:WIDTH] in after:
                raise ConstraintViolation("the key is there")
            after[row[:WIDTH]] = row[WIDTH:]
        if any(count > 1 for count in Counter(user for user, is_open in after.values() if is_open).values()):
            raise ConstraintViolation("two are open")
        self.rows = after


def filled(steps):
    table = Table()
    for key, span in steps:
        table.set(key, span)
    return table


@ANY
@given(STEPS, STEPS, st.lists(STEPS, max_size=12), st.integers(0, 3))
def test_whatever_happens_beside_the_rounds_the_last_one_makes_both_the_same(begin, stale, happens, number):
    source, target = filled(begin), filled(stale)

    def live(_rows):
        for key, span in happens.pop() if happens else []:
            source.set(key, span)

    async def move():
        for _ in range(number):
            await beside_writers(source, target, live)
        return await without_writers(source, target, lambda _rows: None)

    count, sums = asyncio.run(move())

    assert target.rows == source.rows
    assert sums.are_same
    assert sums.source.rows == len(source.rows) == count.looked
    assert count.left == 0


@ANY
@given(STEPS, STEPS)
def test_two_rounds_without_a_change_leave_nothing_to_the_last_one(begin, stale):
    source, target = filled(begin), filled(stale)

    async def move():
        for _ in range(2):
            await beside_writers(source, target, lambda _rows: None)
        return await without_writers(source, target, lambda _rows: None)

    count, sums = asyncio.run(move())

    assert (count.changed, sums.are_same) == (0, True)


def test_a_row_that_the_target_refuses_now_is_left_to_the_next_round():
    source, target = filled([((1, 0), (0, True))]), filled([((9, 0), (0, True))])
    source.set((8, 0), (1, False))
    source.set((8, 1), (1, False))
    source.set((8, 2), (1, False))  # so that the stale row stands on another page

    async def rounds_of(number):
        return [await beside_writers(source, target, lambda _rows: None) for _ in range(number)]

    first, second, third = asyncio.run(rounds_of(3))

    assert first.left > 0
    assert (second.left, second.added) == (0, first.left)
    assert third.changed == 0
    assert target.rows == source.rows


def test_rows_that_are_gone_from_the_source_go_from_the_target_behind_its_last_page_too():
    source, target = filled([((0, 0), (0, False))]), filled([((n, 0), (0, False)) for n in range(6)])

    count = asyncio.run(beside_writers(source, target, lambda _rows: None))

    assert (count.away, count.added, target.rows) == (5, 0, source.rows)

"""What two ranges differ in, page ends, checksums, and when another round is worth it: for any rows."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken.flow.move.differences import (
    PAGE_BYTES,
    ROUNDS_MAX,
    ROWS_MAX,
    SMALL,
    Checksum,
    common_end,
    difference,
    is_another_worth_it,
    next_limit,
    up_to,
)

ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may be busy with other things."""

WIDTH = 2
VALUES = st.one_of(st.none(), st.integers(0, 3), st.text("ab", max_size=2), st.binary(max_size=2))
TABLES = st.dictionaries(st.tuples(st.integers(0, 4), st.binary(max_size=1)), st.tuples(VALUES, VALUES), max_size=12)


def rows_of(table):
    return [key + table[key] for key in sorted(table)]


def sum_of(rows):
    checksum = Checksum()
    checksum.add(rows)
    return checksum.rows, checksum.text


@ANY
@given(TABLES, TABLES)
def test_what_goes_away_and_what_lacks_make_the_target_the_source(source, target):
    found = difference(rows_of(source), rows_of(target), WIDTH)

    between = {key: values for key, values in target.items() if key not in found.away}
    assert between.items() <= source.items(), "in between nothing is there that the source has not"
    assert between | {row[:WIDTH]: row[WIDTH:] for row in found.lacking} == source
    assert bool(found) == (source != target)


@ANY
@given(TABLES, TABLES, st.integers(1, 5))
def test_pages_of_both_sides_cover_every_key_once(source, target, limit):
    after, ours, theirs = None, [], []
    while True:
        pages = [
            [row for row in rows_of(table) if after is None or row[:WIDTH] > after][:limit]
            for table in (source, target)
        ]
        end = common_end(*pages, limit, WIDTH)
        ours += up_to(pages[0], end, WIDTH)
        theirs += up_to(pages[1], end, WIDTH)
        assert end is None or after is None or end > after
        if end is None:
            break
        after = end
    assert (ours, theirs) == (rows_of(source), rows_of(target))


@ANY
@given(TABLES, st.randoms(use_true_random=False))
def test_a_checksum_is_of_the_rows_whatever_their_order_and_pages(table, random):
    rows = rows_of(table)
    shuffled = random.sample(rows, len(rows))
    whole = Checksum()
    place = random.randint(0, len(rows))
    whole.add(shuffled[:place])
    whole.add(shuffled[place:])
    assert (whole.rows, whole.text) == sum_of(rows)


@ANY
@given(TABLES, TABLES)
def test_tables_that_differ_have_other_checksums(one, other):
    assert (sum_of(rows_of(one)) == sum_of(rows_of(other))) == (one == other)


def test_a_checksum_tells_types_apart_and_is_64_hex_characters():
    texts = {sum_of([(1, value)])[1] for value in (1, 1.0, "1", b"1", None)}
    assert len(texts) == 5
    assert {len(text) for text in texts} == {64}
    assert sum_of([])[1] == "0" * 64


def test_a_checksum_is_the_one_that_was_written_into_older_reports():
    text = sum_of([(b"\x01\x02", 7, "x", None), (b"\x03", -1, "", b"")])[1]
    assert text == "b2f3535bd0b5a280d506a57c812614283fe023a5cab93d5bc57ca7886145fe11"


@ANY
@given(st.integers(1, ROWS_MAX), st.lists(st.integers(0, 1 << 20), min_size=1, max_size=20))
def test_a_page_grows_no_more_than_fourfold_and_shrinks_to_what_fits(limit, sizes):
    after = next_limit(limit, [(1, b"x" * size) for size in sizes])
    assert 1 <= after <= min(4 * limit, ROWS_MAX)
    average = sum(sizes) / len(sizes)
    assert after == 1 or after * average <= PAGE_BYTES


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([SMALL], False),
        ([10_000_000], True),
        ([10_000_000, 100_000], True),
        ([10_000_000, 100_000, 90_000], False),
        ([10_000_000, 100_000, 50_000], True),
        ([10_000_000, 0], False),
        ([10**9 // 2**n for n in range(ROUNDS_MAX)], False),
    ],
)
def test_another_round_is_worth_it_while_each_leaves_less(changed, expected):
    assert is_another_worth_it(changed) is expected

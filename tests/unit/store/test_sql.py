from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.store.contract import CallRefused
from unbroken.store.sql import Positional, numbered, positional


@pytest.mark.parametrize(
    ("statement", "text", "order"),
    [
        ("SELECT 1", "SELECT 1", None),
        ("SELECT $1, $2", "SELECT ?, ?", None),
        ("SELECT $2, $1", "SELECT ?, ?", (1, 0)),
        ("SELECT $1, $1", "SELECT ?, ?", (0, 0)),
        ("SELECT $1$2$10$3$4$5$6$7$8$9", "SELECT " + "?" * 10, (0, 1, 9, 2, 3, 4, 5, 6, 7, 8)),
        ("SELECT '$1', $1", "SELECT '$1', ?", None),
        ("SELECT 'it''s $2', $1", "SELECT 'it''s $2', ?", None),
        ('SELECT "a $1 column", $1', 'SELECT "a $1 column", ?', None),
        ("SELECT $1 -- not $7\n, $2", "SELECT ? -- not $7\n, ?", None),
        ("SELECT a FROM t WHERE b = $1 FOR UPDATE", "SELECT a FROM t WHERE b = ?", None),
        ("SELECT a FROM t for  update", "SELECT a FROM t", None),
        ("SELECT a FROM t FOR UPDATE OF t SKIP LOCKED LIMIT 1", "SELECT a FROM t LIMIT 1", None),
        ("SELECT 'FOR UPDATE', for_update FROM t", "SELECT 'FOR UPDATE', for_update FROM t", None),
    ],
)
def test_a_statement_is_said_with_plain_parameters(statement: str, text: str, order: tuple[int, ...] | None) -> None:
    known = positional(statement)

    assert (known.text, known.order) == (text, order)


@pytest.mark.parametrize("statement", ["SELECT $2", "SELECT $1, $3", "SELECT $0", "SELECT $0, $1"])
def test_a_parameter_that_is_left_out_is_refused(statement: str) -> None:
    with pytest.raises(ValueError, match="none left out"):
        positional(statement)


@pytest.mark.parametrize(
    "statement", ["BEGIN", " commit;", "ROLLBACK TO x", "Savepoint x", "RELEASE x", "END", "START WORK"]
)
def test_a_statement_that_begins_or_ends_a_transaction_is_refused(statement: str) -> None:
    with pytest.raises(CallRefused):
        positional(statement)


def test_the_number_of_values_must_fit() -> None:
    known = positional("SELECT $2, $1, $2")

    assert known.arrange(("a", "b")) == ["b", "a", "b"]
    for values in [(), ("a",), ("a", "b", "c")]:
        with pytest.raises(ValueError, match="takes 2 values"):
            known.arrange(values)


@pytest.mark.parametrize(
    ("statement", "text", "count", "only_reads"),
    [
        ("SELECT $2, $1, '$3'", "SELECT $2, $1, '$3'", 2, True),
        ("\n select a FROM t FOR UPDATE OF t", "\n select a FROM t", 0, True),
        ("INSERT INTO t (a) VALUES ($1) RETURNING a", "INSERT INTO t (a) VALUES ($1) RETURNING a", 1, False),
        ("WITH x AS (SELECT 1) DELETE FROM t", "WITH x AS (SELECT 1) DELETE FROM t", 0, False),
    ],
)
def test_a_statement_with_numbers_keeps_them(statement: str, text: str, count: int, only_reads: bool) -> None:
    known = numbered(statement)

    assert (known.text, known.count, known.only_reads) == (text, count, only_reads)
    with pytest.raises(ValueError, match=f"takes {count} values"):
        known.refuse_unless_fitting(["a"] * (count + 1))


def test_values_that_are_in_order_are_passed_on_as_they_are() -> None:
    values = ("a", "b")

    assert positional("SELECT $1, $2").arrange(values) is values


def test_a_statement_is_rewritten_once() -> None:
    assert positional("SELECT $1 AS once") is positional("SELECT $1 AS once")


@given(st.lists(st.integers(0, 5), max_size=12))
def test_sqlite_answers_what_the_numbers_mean(places: list[int]) -> None:
    used = sorted(set(places))
    renumbered = [used.index(place) for place in places]  # none left out
    statement = "SELECT 0" + "".join(f", ${place + 1}" for place in renumbered)
    values = tuple(f"value {place}" for place in range(len(used)))

    known: Positional = positional(statement)

    with closing(sqlite3.connect(":memory:")) as connection:
        row = connection.execute(known.text, known.arrange(values)).fetchone()
    assert row == (0, *(values[place] for place in renumbered))

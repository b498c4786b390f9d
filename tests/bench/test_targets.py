"""Every promise is held against the two results that it names, and one that was not measured is not called kept."""

from __future__ import annotations

import pytest
from bench.contest import BARE, DIY, POSTGRES, SLOW, SQLITE
from bench.measure import Result
from bench.pgbench import LINK
from bench.targets import TARGETS, check
from bench.told import SLOW_SYNCS, Grown, Told

from bench import told as telling


def result(workload, side, clients=64, per_s=1000.0, own_us=100.0, other_us=0.0, p99_ms=10.0, rate=0.0):
    return Result(workload, side, clients, 1000, per_s, 5.0, p99_ms, own_us, other_us, 0.3, rate)


def checked(name, *results, grown=()):
    found = [one for one in check(Told(results=list(results), grown=list(grown))) if one.name.startswith(name)]
    assert len(found) == 1, name
    return found[0]


def test_ingest_is_held_against_bare_asgi_by_the_application_alone():
    one = checked(
        "ingest on PostgreSQL against bare ASGI",
        result("ingest", POSTGRES, own_us=100.0, other_us=900.0),
        result("ingest", BARE, own_us=46.0),
    )
    assert (one.found, one.is_kept, one.promised) == ("46%", True, "at least 45%, aim 60%")


def test_a_core_second_against_the_baseline_counts_the_database_of_both():
    ours = result("register", POSTGRES, own_us=100.0, other_us=100.0)
    theirs = result("register", DIY, own_us=1_000.0, other_us=590.0)
    one = checked("register on PostgreSQL against DIY", ours, theirs)
    assert (one.found, one.is_kept) == ("8.0 times", False)  # 7.95: rounding keeps no promise


def test_a_link_is_held_against_pgbench_by_the_second():
    results = result("link", POSTGRES, per_s=1_301.0), result("link", LINK, per_s=1_000.0)
    assert checked("link on PostgreSQL against pgbench", *results).is_kept


def test_a_tail_may_be_at_most_so_long():
    for p99_ms, is_kept in ((1.9, True), (2.1, False)):
        results = result("ingest", SQLITE, p99_ms=p99_ms), result("ingest", DIY, p99_ms=100.0)
        assert checked("p99 of ingest on SQLite", *results).is_kept is is_kept


def test_slow_syncs_are_held_against_fast_ones_at_256_clients():
    results = result(SLOW_SYNCS, SLOW, 256, per_s=899.0), result(SLOW_SYNCS, POSTGRES, 256, per_s=1_000.0)
    assert checked("ingest on PostgreSQL at 256 clients", *results).is_kept is False


def test_what_was_not_measured_is_neither_kept_nor_broken():
    assert {one.is_kept for one in check(Told())} == {None}
    assert len(check(Told())) == len(TARGETS)


def test_an_open_loop_is_no_answer_to_a_promise_about_a_closed_one():
    told = Told(results=[result("ingest", SQLITE, clients=64, rate=500.0)])
    assert told.find("ingest", SQLITE) is None


def test_sizes_are_compared_in_units_of_the_limit_beside_them():
    grown = [Grown("link", SQLITE, 10_000, 0, 300.0, 30.0), Grown("link", SQLITE, 5_000_000, 0, 720.0, 60.0)]
    told = Told(grown=grown)
    assert told.spread("link", SQLITE) == pytest.approx(0.2)
    one = checked("CPU of a call from 10,000 to 5,000,000 users: link on SQLite", grown=grown)
    assert (one.found, one.is_kept) == ("20%", True)


def test_one_size_alone_does_not_differ():
    assert Told(grown=[Grown("link", SQLITE, 10_000, 0, 300.0, 30.0)]).spread("link", SQLITE) is None


def test_a_part_that_is_measured_anew_forgets_only_its_own():
    told = Told(
        results=[result("link", SQLITE), result(SLOW_SYNCS, SLOW, 256)],
        grown=[Grown("link", SQLITE, 10_000, 0, 300.0, 30.0)],
    )
    told.forget("slow")
    assert [one.workload for one in told.results] == ["link"]
    told.forget("growth")
    assert (told.grown, len(told.results)) == ([], 1)
    told.forget("calls")
    assert told.results == []


def test_what_was_told_is_read_again(tmp_path):
    told = Told(
        at="2026-11-29T08:00",
        results=[result("link", SQLITE)],
        grown=[Grown("link", SQLITE, 10_000, 0, 300.0, 30.0)],
        busy_cores=(0.5, 2.0),
        took_s={"calls": 3.0},
    )
    told.write(tmp_path / "told.json")
    assert telling.read(tmp_path / "told.json") == told

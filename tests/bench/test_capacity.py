"""The page on capacity says what is computed, and the computation is arithmetic that one can follow."""

from __future__ import annotations

import pytest
from bench.capacity import CITED, MEASURED, PAGE, Assumed, Measured, Need, page, size

SMALL = Measured(
    install_bytes=1_000,
    payload_day_bytes=2_000,
    timeline_day_bytes=3_000,
    register_us=100,
    link_us=200,
    whole_way_us=1_000,
    read_us=50,
    audit_install_bytes=500,
    audit_renewal_bytes=200,
)


def need(users, **assumed):
    return Need(users, SMALL, CITED, Assumed(**assumed))


def test_the_page_says_what_is_computed():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "docs/explanation/capacity.md is out of date: run `python -m bench.capacity`"


def test_everything_that_goes_in_was_measured():
    assert all(value > 0 for value in MEASURED)


def test_bytes_are_users_times_days_times_bytes():
    one = need(1_000, installs=2, payload_days=10, timeline_days=100, renewals_a_day=0.5)
    assert one.identity_bytes == 1_000 * 2 * 1_000
    assert one.payload_bytes == 1_000 * 10 * 2_000
    assert one.timeline_bytes == 1_000 * 100 * 3_000
    assert one.audit_bytes == 1_000 * (2 * 500 + 100 * 0.5 * 200)
    assert one.sqlite_bytes == 2_000_000 + 20_000_000 + 300_000_000 + 11_000_000
    assert one.postgres_bytes == pytest.approx(one.sqlite_bytes * 672 / 629)


def test_the_log_holds_what_workers_that_stand_still_leave_there():
    assert need(1_000, log_hours=12, uploads_a_day=10, log_replicas=3).log_bytes == 1_000 * (2_000 + 10 * 75) / 2 * 3


def test_cores_are_the_calls_of_a_peak_second_times_what_each_costs():
    one = need(86_400, uploads_a_day=10, peak=2, linked_a_day=0.5, reads_a_day=4)
    assert (one.uploads_per_s, one.links_per_s, one.reads_per_s) == (20, 1, 8)
    assert one.application_cores == pytest.approx((20 * 1_000 + 1 * (100 + 200) + 8 * 50) / 1e6)


@pytest.mark.parametrize(
    ("changed", "primaries"),
    [({}, 1), ({"disk_bytes": 6 * 10**8}, 3), ({"database_to_application": 3_000.0, "core_count": 1}, 2)],
)
def test_a_database_has_as_many_machines_as_the_larger_of_bytes_and_cores_asks_for(changed, primaries):
    one = need(1_000, payload_days=10, timeline_days=500, used=1.0, **changed)
    assert one.database_primaries == primaries
    assert one.database_machines == primaries * 2


def test_one_process_is_enough_until_its_core_or_its_disk_ends():
    assert need(1_000).fits_embedded
    assert not need(1_000, disk_bytes=10**6).fits_embedded
    assert not need(1_000, peak=10_000.0).fits_embedded


def test_there_are_never_fewer_machines_than_may_die():
    assert (need(1).application_machines, need(1).database_machines, need(1).log_machines) == (2, 2, 3)


def test_a_page_without_a_place_for_a_table_is_refused():
    with pytest.raises(ValueError, match="no place"):
        page("nothing")


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1_500_000, "1.5 MB"), (123e9, "123 GB"), (4e12, "4.0 TB"), (2e15, "2.0 PB")]
)
def test_bytes_are_said_in_powers_of_ten(count, text):
    assert size(count) == text

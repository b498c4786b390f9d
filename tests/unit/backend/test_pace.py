from __future__ import annotations

import threading

import pytest

from unbroken.backend import InvalidConfig, Pace
from unbroken.backend.pace import InProcessLimit, take

PACE = Pace(burst=3, every_s=2.0)
T = 1_800_000_000_000


def waits(limit, *at_ms, account="alice"):
    return [limit.wait_ms(account, T + ms) for ms in at_ms]


def test_a_burst_goes_through_and_then_one_for_each_while():
    limit = InProcessLimit(PACE)
    assert waits(limit, 0, 0, 0, 0, 500, 1999) == [0, 0, 0, 2000, 1500, 1]
    assert waits(limit, 2000, 2000, 4000, 4001) == [0, 2000, 0, 1999]


def test_a_call_that_waits_costs_nothing():
    limit = InProcessLimit(PACE)
    waits(limit, *[0] * 100)
    assert waits(limit, 2000, 4000) == [0, 0]


def test_a_bucket_fills_up_to_its_burst_and_no_further():
    limit = InProcessLimit(PACE)
    waits(limit, 0, 0, 0)
    assert waits(limit, *[3_600_000] * 4) == [0, 0, 0, 2000]


def test_accounts_do_not_wait_for_each_other():
    limit = InProcessLimit(PACE)
    waits(limit, *[0] * 9)
    assert waits(limit, 0, account="bob") == [0]


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_an_empty_bucket():
    limit = InProcessLimit(PACE)
    waits(limit, 0, 0, 0)
    assert waits(limit, -3_600_000) == [2000]
    assert waits(limit, -3_598_000) == [0]


def test_what_is_kept_of_a_bucket_is_one_number():
    assert take(0, PACE, T) == (T + 2000, 0)
    assert take(T + 6000, PACE, T) == (T + 6000, 2000)


def test_threads_together_get_no_more_than_the_burst():
    limit, got = InProcessLimit(PACE), []
    threads = [threading.Thread(target=lambda: got.extend(waits(limit, *[0] * 50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got.count(0), len(got)) == (3, 400)


def test_the_account_that_called_longest_ago_is_forgotten_first(monkeypatch):
    monkeypatch.setattr("unbroken.backend.pace._ACCOUNTS_MAX", 2)
    limit = InProcessLimit(Pace(burst=1, every_s=60))
    for account in ("alice", "bob", "alice", "carl"):
        waits(limit, 0, account=account)
    assert [waits(limit, 0, account=account)[0] > 0 for account in ("alice", "carl", "bob")] == [True, True, False]


@pytest.mark.parametrize("wrong", [{"burst": 0}, {"every_s": 0}, {"every_s": -1.0}])
def test_a_pace_at_which_nobody_could_call_is_refused(wrong):
    with pytest.raises(InvalidConfig):
        Pace(**wrong)

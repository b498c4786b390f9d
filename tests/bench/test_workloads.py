"""What is asked is what the page says, and a person that is copied looks the same on both engines."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import asyncpg
import pytest
from bench.grouped import GROUP, grouped
from bench.pgbench import latencies, per_s
from bench.workloads import NEW_ACCOUNTS, Workloads, account_of

from bench import rows
from unbroken.clock import SystemClock
from unbroken.testing.postgres import run_apart

NOW_MS = SystemClock().now_ms()


class App:
    """One that keeps what it is sent."""

    app_id, app_secret, api_key = "00" * 12, "secret", "key"

    def __init__(self):
        self.sent = []

    def send(self, requests, status):
        self.sent += requests
        return []

    def tokens(self):
        return [f"token-{number}" for number in range(40)]

    def user_ids(self):
        return [f"user-{number}" for number in range(40)]


def kind(request):
    line = request.split(b"\r\n", 1)[0].decode()
    parts = {"/sdk/installs": "register", "/link": "link", "/sdk/payloads": "ingest", "/events": "timeline"}
    return next(name for part, name in parts.items() if part in line)


def registered(count):
    return [json.dumps({"install_id": f"{number:024x}"}).encode() for number in range(count)]


def test_half_of_the_links_take_an_account_over_and_none_is_under_way_twice():
    accounts = [account_of(number) for number in range(4 * NEW_ACCOUNTS)]
    assert set(Counter(accounts).values()) == {2}
    first = {account: accounts.index(account) for account in accounts}
    assert all(number - first[account] in {0, NEW_ACCOUNTS} for number, account in enumerate(accounts))
    assert NEW_ACCOUNTS > 256  # clients


def test_links_end_with_the_installs_and_go_on_with_more():
    workloads = Workloads(App(), NOW_MS)
    assert list(workloads.of("link")) == []
    workloads.note(registered(3))
    assert len(list(workloads.of("link"))) == 3
    workloads.note(registered(2))
    later = list(workloads.of("link"))
    assert [account in request for account, request in zip((b'"main-3"', b'"main-4"'), later, strict=True)] == [
        True
    ] * 2


def test_the_mix_is_as_it_is_said():
    workloads = Workloads(App(), NOW_MS)
    workloads.note(registered(10))
    asked = Counter(map(kind, islice(workloads.of("mixed"), 200)))
    assert asked == {"ingest": 140, "timeline": 30, "register": 20, "link": 10}


def test_those_who_are_read_do_not_upload_but_their_day():
    app = App()
    workloads = Workloads(app, NOW_MS)
    workloads.upload_days()
    readers = {request.split(b"Bearer ")[1].split(b"\r\n")[0] for request in app.sent}
    uploads = list(islice(workloads.of("ingest"), 100))
    others = {request.split(b"Bearer ")[1].split(b"\r\n")[0] for request in uploads}
    assert (len(readers), len(app.sent), len(others), readers & others) == (16, 16 * 12, 24, set())
    assert len(set(uploads)) == 100


@pytest.mark.parametrize(
    "made",
    [rows.id_of("install"), rows.digest("secret"), rows.sealed(43), rows.always(7)],
)
def test_a_value_is_the_same_by_python_and_by_postgresql(made, database_server):
    numbers = [0, 1, 9, 10, 12_345, 4_999_999]

    async def ask():
        connection = await asyncpg.connect(database_server)
        try:
            return [await connection.fetchval(f"SELECT {made.sql} FROM (SELECT $1::bigint n) x", n) for n in numbers]
        finally:
            await connection.close()

    assert run_apart(ask()) == [made.python(number) for number in numbers]


def test_what_pgbench_says_is_read():
    assert per_s("latency average = 12.1 ms\ntps = 5277.123456 (without initial connection time)\n") == 5277.123456
    assert per_s("number of transactions actually processed: 0\n") == 0.0
    log = "0 199 2241 0 1175850568 995598\n0 200 failed 0 1175850568 998079\n3 7 250000 0 1175850569 608\n"
    assert latencies(log) == [0.002241, 0.25]


def test_grouped_inserts_are_rows_that_wait_for_their_group(tmp_path):
    with grouped(0, tmp_path) as side:
        turn = side.turn(0.2, 64)
    assert turn.done.requests % GROUP == 0
    assert turn.done.requests >= GROUP
    assert 0 < turn.own_s <= turn.done.wall_s * 1.05  # two clocks

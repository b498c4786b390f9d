"""The PostgreSQL server dies under load and its standby is promoted, again and again; two APIs and a worker find it.

What must be left: every acknowledged install, link and item is there, none of them twice, and service is back within
ten seconds of the promotion. A standby that dies stops all changes: what is not on both is acknowledged to nobody.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.faults.coming_again import DEADLINE_S, Load
from tests.faults.test_server_killed import Acknowledged, compare_all
from tests.model.api import DAY_MS, Api, App, Connection, create_app, from_iso

from unbroken.clock import SystemClock
from unbroken.testing.postgres import run_apart
from unbroken.testing.process import PlatformProcess
from unbroken.testing.replication import ReplicatedPostgres, tell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACK_S = 10.0
BEFORE_EACH = 8
"""How many calls of each client are acknowledged between two faults."""


class Cluster:
    """Two APIs and a worker on a primary and its standby."""

    def __init__(self, directory: Path, pair: ReplicatedPostgres) -> None:
        self.pair = pair
        shared = {"database_url": pair.url(), "keep_alive_s": "3600", "log_level": "error"}
        self.api, self.second, self.worker = self.processes = [
            PlatformProcess(directory / name, lab=False, settings=shared | {"role": role})
            for name, role in (("api", "api"), ("second", "api"), ("worker", "worker"))
        ]

    def start(self, held: ExitStack) -> App:
        held.enter_context(self.api)
        for other in self.processes[1:]:
            other.data.mkdir()
            for file in ("keys.json", "mode.json"):
                shutil.copy(self.api.data / file, other.data / file)
            held.enter_context(other)
        return create_app(self.api, "failover", link_burst="1000000")

    @property
    def base_urls(self) -> list[str]:
        return [self.api.base_url, self.second.base_url]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Cluster, App]]:
    with ReplicatedPostgres() as pair, ExitStack() as held:
        cluster = Cluster(tmp_path, pair)
        yield cluster, cluster.start(held)


def test_nothing_acknowledged_is_lost_or_doubled_when_the_standby_takes_over(cluster: tuple[Cluster, App]) -> None:
    fail_over(*cluster, rounds=1)


@pytest.mark.prove
def test_nothing_acknowledged_is_lost_or_doubled_in_twenty_fail_overs(cluster: tuple[Cluster, App]) -> None:
    print("\n" + fail_over(*cluster, rounds=20))


def fail_over(cluster: Cluster, app: App, rounds: int) -> str:
    pair, backs = cluster.pair, []
    with Load(cluster.base_urls, app) as load:
        for number in range(rounds):
            if number > 0:
                pair.swap()  # under load, too: the standby in the dead one's place begins as a copy of the primary
            load.await_each("count", BEFORE_EACH)
            pair.primary.kill()
            pair.promote()
            backs.append(load.await_each("count", limit_s=BACK_S))
        load.await_each("count", BEFORE_EACH)
        told = load.stop()
    compare(cluster, pair.standby.url(), app, told)
    return report(f"{rounds} fail-overs", load, told) + f", back within {max(backs):.1f} s"


def test_a_loss_would_be_noticed(cluster: tuple[Cluster, App]) -> None:
    """The standby is not synchronous, and lacks what was acknowledged while it was away."""
    (cluster_, app), pair = cluster, cluster[0].pair
    tell(pair.primary, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
    with Load(cluster_.base_urls, app) as load:
        load.await_each("count")
        pair.standby.kill()
        load.await_each("count", BEFORE_EACH)
        told = load.stop()
    pair.primary.kill()
    pair.standby.start()
    pair.promote()
    for base_url in cluster_.base_urls:
        await_back(base_url)

    with pytest.raises((AssertionError, KeyError)):
        compare(cluster_, pair.standby.url(), app, told)


def await_back(base_url: str) -> None:
    until = time.monotonic() + BACK_S
    with closing(Connection(base_url)) as connection:
        while connection.call("GET", "/health/ready").status != 200:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_dead_standby_stops_what_is_acknowledged_and_neither_the_callers_nor_the_primarys_end_loses_any(
    cluster: tuple[Cluster, App],
) -> None:
    lose_the_standby(*cluster, rounds=1)


@pytest.mark.prove
def test_a_dead_standby_loses_nothing_in_twenty_rounds(cluster: tuple[Cluster, App]) -> None:
    print("\n" + lose_the_standby(*cluster, rounds=20))


def lose_the_standby(cluster: Cluster, app: App, rounds: int) -> str:
    """It dies and comes back; it dies again, then the primary for ever, and the standby alone is what is left."""
    pair, backs = cluster.pair, []
    with Load(cluster.base_urls, app) as load:
        for number in range(rounds):
            if number > 0:
                pair.swap()
            load.await_each("count", BEFORE_EACH)
            pair.standby.kill()
            load.await_each("refused", limit_s=DEADLINE_S)
            assert sum(not_on_both(load)) == 0
            pair.standby.start()
            backs.append(load.await_each("count", limit_s=BACK_S))

            pair.standby.kill()
            await_stuck(pair)
            pair.primary.kill()
            pair.standby.start()
            pair.promote()
            backs.append(load.await_each("count", limit_s=BACK_S))
        load.await_each("count", BEFORE_EACH)
        told = load.stop()
    assert load.slowest_s < DEADLINE_S
    compare(cluster, pair.standby.url(), app, told)
    return report(f"{rounds} rounds", load, told) + f", back within {max(backs):.1f} s"


def await_stuck(pair: ReplicatedPostgres) -> None:
    """Until a change is on the primary alone."""
    stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    while run_apart(asked(pair.primary.url(), stuck))[0] == 0:
        time.sleep(0.02)


def not_on_both(load: Load) -> list[int]:
    """How many calls of each client are acknowledged in a second without a standby."""
    before = [client.count for client in load.clients]
    time.sleep(1)  # the time is what is measured
    return [client.count - count for client, count in zip(load.clients, before, strict=True)]


def report(what: str, load: Load, told: Acknowledged) -> str:
    items = sum(map(len, told.items.values()))
    return (
        f"{what}: {len(told.installs)} installs, {len(told.links)} links, {items} items acknowledged, 0 lost, 0 twice;"
        f" {load.refused} calls refused, the slowest took {load.slowest_s:.1f} s"
    )


def compare(cluster: Cluster, database_url: str, app: App, told: Acknowledged) -> None:
    """All that was acknowledged is there, and nothing else: every call was made until it was acknowledged."""
    for base_url in cluster.base_urls:
        with closing(Connection(base_url)) as connection:
            api = Api(connection, lab=False)
            compare_all(api, app, told)
            assert_none_twice(api, app, told)
    assert run_apart(asked(database_url, COUNTED)) == (len(told.installs), len(told.installs), len(told.links))


def assert_none_twice(api: Api, app: App, told: Acknowledged) -> None:
    now_ms = SystemClock().now_ms()
    owners = {told.links.get(install, ("", told.installs[install]))[1] for install in told.items}
    for user_id in owners:
        views = api.items(app.bearer, user_id, now_ms - DAY_MS, now_ms + DAY_MS)
        kept = Counter((view["install_id"], from_iso(view["captured_at"])) for view in views)
        assert [item for item, count in kept.items() if count > 1] == []


COUNTED = """
    SELECT (SELECT count(*) FROM installs), count(*) FILTER (WHERE kind = 'registered'),
        count(*) FILTER (WHERE kind = 'linked')
    FROM facts"""


async def asked(database_url: str, statement: str) -> tuple[Any, ...]:
    connection = await asyncpg.connect(database_url)
    try:
        return tuple(await connection.fetchrow(statement))
    finally:
        await connection.close()

"""Sixteen devices try to redeem one code at the same moment: one wins, and is told the same if it asks again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.servers import alarms_of, one_or_two
from tests.engines import POSTGRES, SQLITE
from tests.model.api import PHONE, Api, App, Connection, random_uuid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.api import Reply

    from unbroken.testing.postgres import Schemas

RACERS = 16


def test_a_code_raced_by_sixteen_has_one_winner(tmp_path: Path) -> None:
    race(tmp_path, codes=12)


def test_a_code_raced_by_sixteen_through_two_servers_has_one_winner(tmp_path: Path, schemas: Schemas) -> None:
    race(tmp_path, codes=12, database_url=schemas.create())


@pytest.mark.prove
def test_two_hundred_codes_raced_by_sixteen_have_one_winner_each(tmp_path: Path) -> None:
    race(tmp_path, codes=200)
    print("\n200 codes raced by 16 had one winner each")


@pytest.mark.prove
def test_two_hundred_codes_raced_through_two_servers_have_one_winner_each(tmp_path: Path, schemas: Schemas) -> None:
    race(tmp_path, codes=200, database_url=schemas.create())
    print("\n200 codes raced by 16 through two servers had one winner each")


@pytest.mark.counts_requests("a repeated refusal is a request more in the metrics")
@pytest.mark.parametrize("engine", [SQLITE, POSTGRES])
def test_each_that_comes_too_late_is_counted_once(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    database_url = request.getfixturevalue("schemas").create() if engine == POSTGRES else None
    assert race(tmp_path, codes=2, database_url=database_url) == 2 * (RACERS - 1)


def race(tmp_path: Path, codes: int, database_url: str | None = None) -> int:
    """How many callers came too late, as the servers' metrics tell it."""
    with ThreadPoolExecutor(RACERS) as pool, ExitStack() as held:
        servers, app = held.enter_context(one_or_two(tmp_path, database_url, link_burst="100000"))
        urls = [servers[place % len(servers)].base_url for place in range(RACERS)]
        apis = [Api(held.enter_context(closing(Connection(url))), lab=False) for url in urls]
        for number in range(codes):
            (by_registering if number % 2 else by_linking)(apis, pool, app, number)
        reused = servers[0].command("audit", "list", "--what", "code reused", "--limit", str(10 * codes))
        assert len(reused["entries"]) == codes, "each code that was shown twice is an entry, and only one"
        assert servers[0].command("audit", "verify")["ok"]
        return sum(alarms_of(server.base_url, "AUTH_CODE_USED") for server in servers)


def at_once(pool: ThreadPoolExecutor, call: Callable[[int], Reply]) -> list[Reply]:
    start = threading.Barrier(RACERS)

    def wait_and_call(place: int) -> Reply:
        start.wait()
        return call(place)

    return list(pool.map(wait_and_call, range(RACERS)))


def by_registering(apis: list[Api], pool: ThreadPoolExecutor, app: App, number: int) -> None:
    code = apis[0].mint(app.bearer, f"account-{number}").json["authentication_code"]
    keys = [random_uuid("race", number, place) for place in range(RACERS)]

    def register(place: int) -> Reply:
        return apis[place].register(None, PHONE, code=code, key=keys[place])

    replies = at_once(pool, register)
    winner = the_one(replies, won=201)
    again = apis[(winner + 1) % RACERS].register(None, PHONE, code=code, key=keys[winner])
    assert (again.status, again.json["install_id"]) == (201, replies[winner].json["install_id"])


def by_linking(apis: list[Api], pool: ThreadPoolExecutor, app: App, number: int) -> None:
    code = apis[0].mint(app.bearer, f"account-{number}").json["authentication_code"]
    tokens = [apis[0].register(app.basic, PHONE).json["user_token"]["token"] for _ in range(RACERS)]

    def redeem(place: int) -> Reply:
        return apis[place].redeem(tokens[place], code)

    replies = at_once(pool, redeem)
    winner = the_one(replies, won=200)
    again = apis[(winner + 1) % RACERS].redeem(tokens[winner], code)
    told = {name: value for name, value in again.json.items() if name != "link_ticket"}
    assert (again.status, told) == (200, replies[winner].json)
    assert apis[0].find(app.bearer, f"account-{number}").json["id"] == replies[winner].json["user_id"]


def the_one(replies: list[Reply], won: int) -> int:
    winners = [place for place, reply in enumerate(replies) if reply.status == won]
    assert len(winners) == 1, [str(reply) for reply in replies]
    assert {reply.code for place, reply in enumerate(replies) if place != winners[0]} == {"AUTH_CODE_USED"}
    return winners[0]

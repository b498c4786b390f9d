"""Sixteen installs are linked to one external id at the same moment: one user, one active install, no failure."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.servers import one_or_two
from tests.model.api import PHONE, TABLET, Api, App, Connection, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.testing.postgres import Schemas

INSTALLS = 16


def test_sixteen_installs_linked_at_once_become_one_user(tmp_path: Path) -> None:
    link_at_once(tmp_path, times=20)


@pytest.mark.prove
def test_sixteen_installs_linked_at_once_become_one_user_two_hundred_times(tmp_path: Path) -> None:
    link_at_once(tmp_path, times=200)
    print("\n200 times sixteen installs linked at once became one user")


def test_sixteen_installs_linked_at_once_through_two_servers_become_one_user(tmp_path: Path, schemas: Schemas) -> None:
    link_at_once(tmp_path, times=10, database_url=schemas.create())


@pytest.mark.prove
def test_two_servers_two_hundred_times(tmp_path: Path, schemas: Schemas) -> None:
    link_at_once(tmp_path, times=200, database_url=schemas.create())
    print("\n200 times sixteen installs linked at once through two servers became one user")


def link_at_once(tmp_path: Path, times: int, database_url: str | None = None) -> None:
    with ThreadPoolExecutor(INSTALLS) as pool, ExitStack() as held:
        servers, app = held.enter_context(one_or_two(tmp_path, database_url))
        urls = [servers[place % len(servers)].base_url for place in range(INSTALLS)]
        connections = [held.enter_context(closing(Connection(url))) for url in urls]
        for time in range(times):
            one_rush([Api(connection, lab=False) for connection in connections], pool, app, time)


def one_rush(apis: list[Api], pool: ThreadPoolExecutor, app: App, time: int) -> None:
    forms = [(place * 7 + time) % 3 for place in range(INSTALLS)]  # phones and tablets in changing order
    installs = [register(apis[0], app, TABLET if form == 0 else PHONE) for form in forms]
    start = threading.Barrier(INSTALLS)

    def link(place: int) -> Reply:
        start.wait()
        return apis[place].link(app.bearer, installs[place], f"rush-{time}")

    replies = list(pool.map(link, range(INSTALLS)))
    assert {reply.status for reply in replies} == {200}, [str(reply) for reply in replies if reply.status != 200]
    assert len({reply.json["id"] for reply in replies}) == 1
    best = max(place for place, form in enumerate(forms) if form != 0)
    compare(apis[0], app, replies[0].json["id"], installs, best)


def register(api: Api, app: App, facts: dict[str, object]) -> str:
    reply = api.register(app.basic, facts)
    assert reply.status == 201, reply
    return str(reply.json["install_id"])


def compare(api: Api, app: App, user_id: str, installs: list[str], best: int) -> None:
    """The phone registered last is active, whatever the order in which the links came (linking.md, activation)."""
    views = api.installs(app.bearer, user_id).json["installs"]
    assert {view["install_id"] for view in views} == set(installs)
    assert [view["install_id"] for view in views if view["state"] == "active"] == [installs[best]]
    open_ones = [part for view in views for part in view["activations"] if part["to"] is None]
    assert len(open_ones) == 1, open_ones
    intervals = sorted((part["from"], part["to"] or "9") for view in views for part in view["activations"])
    for (_, end), (start, _) in pairwise(intervals):
        assert end <= start, intervals

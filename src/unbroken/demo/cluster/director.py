"""The demo of a cluster from beginning to end: start, load, kill, wait, look, show."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from unbroken.backend import Platform
from unbroken.backend.connection import Options
from unbroken.backend.retry import Retry
from unbroken.demo.cluster import report as reports
from unbroken.demo.cluster import timetable
from unbroken.demo.cluster.audit import Auditor
from unbroken.demo.cluster.phones import PATIENCE_S, Client, Crowd, World
from unbroken.demo.cluster.probes import Probes
from unbroken.demo.cluster.promises import Promises
from unbroken.demo.cluster.proxy import ADDRESS, Proxy
from unbroken.demo.cluster.report import Report, Screen
from unbroken.testing.cluster import Cluster
from unbroken.testing.platform import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

    from unbroken.testing.platform import LabApp

_IMPATIENT = Retry(tries_max=1)
_PATIENT = Retry(tries_max=12, wait_max_s=60.0)


def direct(seconds: float, clients: int, kills: Sequence[str], *, json: bool) -> int:
    """See `unbroken.demo.cluster.run`."""
    console, promises = Console(stderr=json, quiet=json), Promises()
    screen = Screen(console, promises)
    with screen.live():
        report = _live(screen, promises, seconds, clients, kills)
    if json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.as_json()), indent=2).decode() + "\n")
    else:
        reports.show(console, report)
    return 0 if report.is_good else 1


def _live(screen: Screen, promises: Promises, seconds: float, clients: int, kills: Sequence[str]) -> Report:
    began = time.monotonic()
    screen.say("starting PostgreSQL, three NATS nodes, two APIs and two workers")
    with Cluster() as cluster, tempfile.TemporaryDirectory(prefix="unbroken-phones-") as directory:
        screen.show(cluster)
        app = create_app(cluster.apis[0], "cluster-demo")
        with _network(cluster) as network:
            customer = _customer(app, network, _PATIENT)
            world = World(app, network, customer, promises, Path(directory))
            screen.say(f"{clients} phones at a time are bought, linked, used and reinstalled")
            with Probes(world, _customer(app, network, _IMPATIENT)) as probes:
                with _load(world, clients) as wrong:
                    done = timetable.carry_out(cluster, kills, seconds, probes.is_back, screen.member)
                screen.say("the load is over")
                back_s = reports.backs(done, probes.all)
            screen.say("waiting until everything acknowledged is processed")
            books = Auditor(customer, promises).audit(cluster.apis[0])
    return Report(time.monotonic() - began, done, back_s, books, dict(promises.answers), wrong)


@contextmanager
def _load(world: World, clients: int) -> Iterator[list[str]]:
    """So many clients, while this is open; then the list says what they have met that must never happen."""
    crowd, wrong = Crowd(), list[str]()
    everybody = [Client(world, crowd, number) for number in range(clients)]
    for client in everybody:
        client.start()
    try:
        yield wrong
    finally:
        world.over.set()
    for client in everybody:
        client.join(2 * PATIENCE_S)
    wrong += [f"{client.name} hangs" for client in everybody if client.is_alive()]
    wrong += [client.wrong for client in everybody if client.wrong is not None]


def _customer(app: LabApp, network: httpx.BaseTransport, retry: Retry) -> Platform:
    return Platform(ADDRESS, api_key=app.api_key, options=Options(transport=network, retry=retry))


@contextmanager
def _network(cluster: Cluster) -> Iterator[Proxy]:
    proxy = Proxy(cluster.apis)
    try:
        yield proxy
    finally:
        proxy.shut()

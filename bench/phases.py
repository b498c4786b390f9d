"""The measurements, one function each; every one is bounded in time and checks what it was answered."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench import calls, machine
from bench.measure import Limit, Result, Server
from bench.population import DAY_MS, install_id, user_id
from bench.subject import bare_server
from unbroken import wire
from unbroken.clock import SystemClock
from unbroken.demo.persona import day_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.population import Population
    from bench.subject import Platform

READERS: Final = 64
"""People whose timeline is read; the others upload."""

_UPLOADERS_MAX: Final = 20_000
_clock = SystemClock()


@contextmanager
def limit(core: int) -> Iterator[Limit]:
    """The bare server, which the others are held against."""
    now_ms = _clock.now_ms()
    body = calls.upload_body(calls.walk(now_ms - calls.STRETCH_MS), now_ms)
    request = calls.request("POST", "/sdk/payloads", calls.bearer("none"), body=body)
    with bare_server(core) as (port, pid):
        yield Limit(Server(port, pid), cycle([request]), len(body))


def bare(at: Limit, seconds: float) -> Result:
    """The limit alone."""
    return at.server.measure("bare ASGI", at.requests, 202, seconds, note=f"{at.body_bytes:,} B decoded")


def register(platform: Platform, count: int, seconds: float) -> tuple[Result, list[str]]:
    """Phones that register; with the ids of those that did."""
    requests = calls.registrations(platform.app_id, platform.app_secret, count, _clock.now_ms())
    server = _server(platform)
    result = server.measure("register", requests, 201, seconds, keep=True)
    return result, [wire.decode(reply, wire.Registered).install_id for reply in server.replies]


def link(platform: Platform, install_ids: list[str], seconds: float) -> Result:
    """Installs that are linked; every second one takes an account over from another."""
    requests = calls.links(platform.api_key, install_ids, _clock.now_ms())
    return _server(platform).measure("link", requests, 200, seconds, note="every second one takes over")


def timeline(platform: Platform, seconds: float) -> Result:
    """Reading the events of one day."""
    day = _upload_day(platform)
    if not platform.settle():
        raise RuntimeError("The days were not processed in time.")
    authorization = calls.bearer(platform.api_key)
    requests = [
        calls.request("GET", f"/v2/users/{user_id(n).hex()}/events?from={day}&to={day}", authorization)
        for n in range(READERS)
    ]
    server = _server(platform)
    result = server.measure("timeline", cycle(requests), 200, seconds, keep=True)
    days = [wire.decode(reply, list[Any]) for reply in server.replies[:READERS]]
    events, size_bytes = sum(map(len, days)) / len(days), sum(map(len, server.replies)) / len(server.replies)
    return replace(result, note=f"{events:.0f} events, {size_bytes / 1000:.1f} KB")


def _upload_day(platform: Platform) -> str:
    """Yesterday, as each reader's phone captured it, in one upload; its date."""
    now_ms = _clock.now_ms()
    midnight_ms = now_ms // DAY_MS * DAY_MS - DAY_MS
    uploads = []
    for n in range(READERS):
        items = day_of(n).items
        shift_ms = midnight_ms - items[0].t // DAY_MS * DAY_MS
        shifted = [_at(item, item.t + shift_ms) for item in items]
        uploads.append(calls.upload(platform.user_token(install_id(n), now_ms), shifted, now_ms))
    platform.send(uploads, 202)
    return wire.iso(midnight_ms)[:10]


def ingest(platform: Platform, population: Population, day: int, seconds: float, at: Limit) -> Result:
    """Uploads of many installs, spread over all that are stored, while the worker makes timelines of them.

    It takes turns with the limit.

    Args:
        day: which day since they registered the uploads tell of; another in each phase.
    """
    name, note = f"ingest, {population.size:,} stored users", f"{len(_uploaders(population)):,} of them upload"
    return replace(_server(platform).beside(at, name, _uploads(platform, population, day), 202, seconds), note=note)


@dataclass(frozen=True, slots=True)
class Whole:
    """What uploads cost on their whole way: taken, kept, and each made into a timeline of its own."""

    uploads: int
    cpu_us: float


def whole_way(platform: Platform, population: Population, count: int) -> Whole:
    """One upload of each of so many people, until everything was processed."""
    requests = list(islice(_uploads(platform, population, 0), min(count, len(_uploaders(population)))))
    before_s = machine.cpu_s(platform.pid)
    platform.send(requests, 202)
    if not platform.settle():
        raise RuntimeError("The uploads were not processed in time.")
    return Whole(len(requests), (machine.cpu_s(platform.pid) - before_s) / len(requests) * 1e6)


def _uploads(platform: Platform, population: Population, day: int) -> Iterator[bytes]:
    now_ms = _clock.now_ms()
    tokens = [platform.user_token(install_id(n), now_ms) for n in _uploaders(population)]
    from_ms = population.registered_at + day * DAY_MS + calls.STRETCH_MS
    return calls.uploads(tokens, from_ms=from_ms, sent_at=now_ms, stretches=DAY_MS // calls.STRETCH_MS - 1)


def _uploaders(population: Population) -> range:
    """Those who upload: evenly spread over all but the readers."""
    others = range(READERS, population.size)
    return others[:: max(1, len(others) // _UPLOADERS_MAX)]


def import_of_sdk() -> tuple[float, list[str]]:
    """How many milliseconds importing the SDK takes, the best of five, and what of a server it loaded."""
    program = (
        "import sys, time; t = time.perf_counter(); import unbroken.sdk;"
        " print((time.perf_counter() - t) * 1000, *sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(5)
    ]
    return min(float(ms) for ms, *_ in runs), [name for name in runs[0][1:] if name.startswith(_OF_A_SERVER)]


_OF_A_SERVER: Final = (
    *("starlette", "uvicorn", "uvloop", "zstandard", "structlog", "prometheus_client", "typer", "rich"),
    *("unbroken.server", "unbroken.flow", "unbroken.store", "unbroken.log", "unbroken.cli"),
)


def _at(item: wire.Item, at_ms: int) -> wire.Item:
    return msgspec.structs.replace(item, t=at_ms)


def _server(platform: Platform) -> Server:
    return Server(platform.port, platform.pid)

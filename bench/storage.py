"""Bytes as they are stored: what a person takes in SQLite, what each day of a phone and the audit log add; CPU of days.

Pages of the file are counted, by table, with those of its indexes: what `ls` would show of it, and no estimate.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from itertools import cycle, islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bench import calls, machine
from bench.population import DAY_MS, Population, install_id, user_id
from bench.subject import Platform
from unbroken import wire
from unbroken.clock import SystemClock
from unbroken.demo.persona import day_of
from unbroken.server.data_directory import DATABASE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unbroken.wire import Item

PEOPLE: Final = 4_000
"""Stored people, of whom the bytes of one are the mean."""

WALKERS: Final = 16
DAYS: Final = 3
UPLOADS_A_DAY: Final = 12
READS: Final = 1_000
AUDITED: Final = 2_000
"""Installs that are registered, linked and renewed, of whose entries in the audit log the bytes of one are the mean."""

_SETTLE_S: Final = 600.0
_OF_PAYLOADS: Final = frozenset({"payloads"})
_OF_TIMELINES: Final = frozenset({"events", "chunks", "checkpoints", "timelines", "floors"})
_ON_THE_WAY: Final = frozenset({"due", "log_records", "idempotency"})
_OF_AUDIT: Final = frozenset({"audit"})


class Storage(NamedTuple):
    """Bytes on the disk, means.

    Args:
        install: of an install with its user, its link and all their facts.
        fact: of a fact of the ledger.
        day_of_payloads: what a phone's day adds as it was uploaded.
        day_of_timeline: what the same day adds to the timeline, state and checkpoints included.
        items: of a phone's day.
        events: of the timeline of one.
        upload_us: CPU of an upload of such a day: taken, kept, and made into a timeline.
        read_us: CPU of one that is read.
        audit_of_install: what its registration and its link add to the audit log.
        audit_of_renewal: what each renewal of its credential adds there.
    """

    install: float
    fact: float
    day_of_payloads: float
    day_of_timeline: float
    items: float
    events: float
    upload_us: float
    read_us: float
    audit_of_install: float
    audit_of_renewal: float


def measure() -> Storage:
    """On a platform of its own, below the system's directory for temporary files."""
    core = machine.choose_cores().server
    with tempfile.TemporaryDirectory(prefix="unbroken-storage-") as directory:
        return _measure(Platform(Path(directory) / "data", core))


def _measure(platform: Platform) -> Storage:
    database = platform.data / DATABASE_FILE
    population = Population(platform, SystemClock().now_ms())
    population.grow(PEOPLE)
    stored = _by_table(database)
    identity = sum(stored.values()) - _of(stored, _OF_PAYLOADS | _OF_TIMELINES | _ON_THE_WAY | _OF_AUDIT)
    facts, events_before = _count(database, "facts"), _count(database, "events")
    with platform.running():
        items, uploads, upload_s = _walk(platform, population)
        read_s = _read(platform, population)
    grown, days = _by_table(database), WALKERS * DAYS
    audit_of_install, audit_of_renewal = audited(platform)
    return Storage(
        install=identity / PEOPLE,
        fact=stored["facts"] / facts,
        day_of_payloads=(_of(grown, _OF_PAYLOADS) - _of(stored, _OF_PAYLOADS)) / days,
        day_of_timeline=(_of(grown, _OF_TIMELINES) - _of(stored, _OF_TIMELINES)) / days,
        items=items / days,
        events=(_count(database, "events") - events_before) / days,
        upload_us=upload_s / uploads * 1e6,
        read_us=read_s / READS * 1e6,
        audit_of_install=audit_of_install,
        audit_of_renewal=audit_of_renewal,
    )


def audited(platform: Platform) -> tuple[float, float]:
    """Let installs register and be linked, then renew: what each adds to the audit log by the one and by the other."""
    now_ms, sizes = SystemClock().now_ms(), [_audit_bytes(platform)]
    with platform.running():
        replies = platform.send([*calls.registrations(platform.app_id, platform.app_secret, AUDITED, now_ms)], 201)
        made = [wire.decode(reply, wire.Registered) for reply in replies]
        platform.send(calls.links(platform.api_key, [one.install_id for one in made], now_ms), 200)
    sizes.append(_audit_bytes(platform))
    with platform.running():
        platform.send([calls.renewal(one.install_credential, now_ms) for one in made], 200)
    sizes.append(_audit_bytes(platform))
    of_installs, of_renewals = sizes[1] - sizes[0], sizes[2] - sizes[1]
    return of_installs / AUDITED, of_renewals / AUDITED


def _audit_bytes(platform: Platform) -> int:
    return _of(_by_table(platform.data / DATABASE_FILE), _OF_AUDIT)


def _walk(platform: Platform, population: Population) -> tuple[int, int, float]:
    """Let some of the people upload their days, and wait for their timelines: how many items and uploads, what CPU."""
    now_ms, before_s = SystemClock().now_ms(), machine.cpu_s(platform.pid)
    items, uploads = 0, 0
    for day, number in product(range(DAYS), range(WALKERS)):
        captured = list(_shifted(day_of(number * DAYS + day).items, _midnight_ms(population) + day * DAY_MS))
        token = platform.user_token(install_id(number), now_ms)
        requests = [calls.upload(token, part, now_ms) for part in _parts(captured)]
        platform.send(requests, 202)
        items, uploads = items + len(captured), uploads + len(requests)
    if not platform.settle(_SETTLE_S):
        raise RuntimeError("The days were not processed in time.")
    return items, uploads, machine.cpu_s(platform.pid) - before_s


def _read(platform: Platform, population: Population) -> float:
    """Read a day of each of them in turn; the CPU of it."""
    before_s, day = machine.cpu_s(platform.pid), wire.iso(_midnight_ms(population))[:10]
    paths = [f"/v2/users/{user_id(number).hex()}/events?from={day}&to={day}" for number in range(WALKERS)]
    requests = [calls.request("GET", path, calls.bearer(platform.api_key)) for path in paths]
    platform.send(list(islice(cycle(requests), READS)), 200)
    return machine.cpu_s(platform.pid) - before_s


def _midnight_ms(population: Population) -> int:
    """Of the first day."""
    return population.registered_at // DAY_MS * DAY_MS + DAY_MS


def _shifted(items: Iterable[Item], midnight_ms: int) -> Iterator[Item]:
    for item in items:
        yield msgspec.structs.replace(item, t=midnight_ms + item.t % DAY_MS)


def _parts(items: list[Item]) -> Iterator[list[Item]]:
    """The day in as many uploads of equal length."""
    size = -(-len(items) // UPLOADS_A_DAY)
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def _by_table(database: Path) -> dict[str, int]:
    """Bytes of each table with its indexes."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dict(
            connection.execute(
                "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) GROUP BY tbl_name"
            ).fetchall()
        )


def _of(tables: dict[str, int], names: frozenset[str]) -> int:
    return sum(size for name, size in tables.items() if name in names)


def _count(database: Path, table: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


if __name__ == "__main__":
    for name, value in measure()._asdict().items():
        print(f"{name:>16} {value:12,.1f}")

"""Single rows are corrupted behind the store's back; `verify` must notice each, and mend what is proved.

What is planted is a table: of each column, how any other value, or only a broken one, is noticed. A column that is
neither there nor in `NO_CLAIM` fails a test, so whoever adds one says what it claims.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import zlib
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.faults.busy import DAY, HOUR, Busy, captured, later, live, timelines

from unbroken.flow import authenticate, retention
from unbroken.flow.verify import Report, Wanted, verify
from unbroken.store.migrate import packaged
from unbroken.store.sqlite import SqliteStore
from unbroken.testing.in_process import START_MS, InProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.xdist_group("corruption")  # so that the story is lived once

ROWS_EACH = 3
SEED = 20_260_807


class Column(NamedTuple):
    """A column in which another value is noticed.

    `spoil` makes the other value; `where` says in which rows; `mends` whether what differs is repaired.
    """

    spoil: Callable[[Any], Any]
    where: str = "TRUE"
    mends: bool = False
    rows: int = ROWS_EACH


def other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case None:
            return 1
        case bytes():
            middle = len(value) // 2
            return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
        case int():
            return value + 1
        case _:
            return f"{value}x"


def another_id(value: Any) -> Any:
    """Of somebody who is not there."""
    return b"\xee" * 12 if value is None else other(value)


def flipped(value: Any) -> Any:
    return 0 if value else 1


def cut(value: Any) -> Any:
    return value[:-1]


def an_hour_more(value: Any) -> Any:
    return value + HOUR


def constant(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def another_of(*values: str) -> Callable[[Any], Any]:
    return lambda value: next(one for one in values if one != value)


BAD_JSON = constant("{")
STATES = ("active", "standby", "superseded", "disabled", "deleted")
OUTCOMES = ("accepted", "before_link", "standby", "superseded", "disabled")
SEEN = "NOT is_hidden AND kind NOT IN ('policy changed', 'erased')"
LAST_CHANGE = "seq IN (SELECT max(seq) FROM changes GROUP BY install_id) AND standing <> 'erased'"
LIVING = "NOT is_removed"
LAST_OF_DAY = "at_ms IN (SELECT max(at_ms) FROM checkpoints GROUP BY user_id, at_ms / 86400000)"
COUNTS = "install_id IN (SELECT install_id FROM spans WHERE outcome = 'accepted' AND to_ms IS NULL)"

COLUMNS: dict[str, dict[str, Column]] = {
    "apps": {
        "app_id": Column(other),
        "name": Column(constant(" ")),
        "is_disabled": Column(constant(2)),
        "secret_digest": Column(cut),
        "policy": Column(lambda text: text.replace("claim", "drop")),
        "created_at": Column(constant(0)),
    },
    "api_keys": {
        "app_id": Column(other),
        "key_id": Column(other, "key_id IN (SELECT caller FROM idempotency)"),
        "name": Column(constant("")),
        "scopes": Column(lambda text: text.replace("user.link", "user.lnik")),
        "digest": Column(cut),
        "created_at": Column(constant(0)),
        "expires_at": Column(lambda at: at + 365 * DAY),
        "revoked_at": Column(constant(1)),
        "last_used_at": Column(constant(-1)),
    },
    "facts": {
        "position": Column(lambda position: position + 1000, "kind = 'registered' AND NOT is_hidden"),
        "app_id": Column(other, SEEN),
        "fact_id": Column(other, "kind IN ('linked', 'disabled', 'activated') AND NOT is_hidden"),
        "at": Column(other, f"{SEEN} AND kind <> 'unlinked'"),
        "kind": Column(another_of("reset", "disabled"), SEEN),
        "install_id": Column(other, f"{SEEN} AND install_id IS NOT NULL"),
        "user_id": Column(other, f"{SEEN} AND user_id IS NOT NULL"),
        "external_id": Column(other, f"{SEEN} AND external_id IS NOT NULL"),
        "fields": Column(constant('{"a": 1}'), SEEN),
        "actor": Column(constant("")),
        "subject": Column(other, "subject IS NOT NULL AND NOT is_hidden"),
        "is_hidden": Column(flipped, SEEN),
    },
    "undo_answers": {"subject": Column(other), "body": Column(cut)},
    "traces": {"fact_id": Column(other), "body": Column(BAD_JSON)},
    "installs": {
        "install_id": Column(other),
        "app_id": Column(other, mends=True),
        "own_user": Column(another_id, mends=True),
        "user_id": Column(another_id, mends=True),
        "form": Column(another_of("phone", "tablet"), mends=True),
        "registered_at": Column(other, mends=True),
        "place": Column(other, mends=True),
        "named_at": Column(other, mends=True),
        "link": Column(another_id, mends=True),
        "external_id": Column(other, mends=True),
        "linked_at": Column(other, mends=True),
        "standing": Column(another_of("deleted", "active"), mends=True),
        "is_disabled": Column(flipped, mends=True),
        "used": Column(constant(0), "install_id IN (SELECT install_id FROM payloads)"),
        "device": Column(BAD_JSON),
        "credential_digest": Column(cut),
        "credential_key": Column(constant(b"\x00")),
        "kept_from": Column(constant(-1)),
    },
    "users": {
        "user_id": Column(other),
        "app_id": Column(other, mends=True),
        "created_at": Column(other, mends=True),
        "named_at": Column(other, mends=True),
        "touched_at": Column(other, mends=True),
        "external_id": Column(other, mends=True),
        "holder": Column(another_id, mends=True),
        "is_disabled": Column(flipped, mends=True),
        "redirect": Column(another_id, mends=True),
        "metadata": Column(BAD_JSON),
    },
    "carriers": {
        "app_id": Column(other),
        "external_id": Column(other, mends=True),
        "user_id": Column(another_id, mends=True),
    },
    "spans": {
        "install_id": Column(other, mends=True),
        "user_id": Column(another_id, mends=True),
        "state": Column(another_of(*STATES), mends=True),
        "outcome": Column(another_of(*OUTCOMES), mends=True),
        "from_ms": Column(other, mends=True),
        "to_ms": Column(lambda at: at - 1, "to_ms IS NOT NULL", mends=True),
        "cause": Column(other, mends=True),
        "rival": Column(another_id, mends=True),
    },
    "changes": {
        "install_id": Column(other, LAST_CHANGE),
        "standing": Column(another_of("deleted", "standby"), f"{LAST_CHANGE} AND install_id IS NOT NULL"),
        "at": Column(constant(0)),
    },
    "spent_credentials": {"digest": Column(cut), "install_id": Column(other)},
    "registrations": {"app_id": Column(other), "key_digest": Column(cut), "install_id": Column(other)},
    "auth_codes": {
        "digest": Column(cut),
        "app_id": Column(other),
        "external_id": Column(constant("\n")),
        "expires_at": Column(constant(0)),
        "redeemed_by": Column(another_id),
        "actor": Column(constant("")),
    },
    "idempotency": {
        "caller": Column(other),
        "body_hash": Column(cut),
        "status": Column(constant(7)),
        "reply": Column(cut),
        "at": Column(constant(0)),
        "user_id": Column(another_id),
    },
    "tombstones": {
        "digest": Column(other, "kind = 'user'"),
        "app_id": Column(other),
        "kind": Column(
            another_of("install", "user"), "receipt_id IN (SELECT receipt_id FROM tombstones WHERE kind = 'user')"
        ),
        "receipt_id": Column(other),
    },
    "receipts": {
        "receipt_id": Column(other),
        "app_id": Column(other),
        "body": Column(lambda text: text[:-4] + text[-3:]),
    },
    "payloads": {
        "install_id": Column(other),
        "seq": Column(lambda seq: seq + 1000),
        "received_at": Column(an_hour_more),
        "offset_ms": Column(other),
        "first_t": Column(other),
        "last_t": Column(other),
        "reach_ms": Column(other),
        "body": Column(cut),
    },
    "timelines": {
        "user_id": Column(other),
        "at_ms": Column(other, mends=True),
        "state": Column(other, mends=True),
        "places": Column(other, mends=True),
        "labels": Column(other, mends=True),
        "places_until": Column(other, mends=True),
        "last_fix": Column(other, mends=True),
    },
    "checkpoints": {
        "user_id": Column(other),
        "at_ms": Column(other, mends=True),
        "state": Column(other, mends=True),
    },
    "events": {
        "user_id": Column(other),
        "event_id": Column(other, LIVING, mends=True),
        "start_ms": Column(other, LIVING, mends=True),
        "end_ms": Column(other, LIVING, mends=True),
        "revision": Column(constant(0), mends=True),
        "body": Column(other, LIVING, mends=True),
        "place_id": Column(other, LIVING, mends=True),
        "successor": Column(constant("zzz"), LIVING, mends=True),
        "is_removed": Column(flipped, mends=True),
    },
    "chunks": {"user_id": Column(other), "day": Column(other, mends=True), "body": Column(other, mends=True)},
    "log_head": {"only_row": Column(constant(2)), "position": Column(constant(1))},
    "log_partitions": {
        "partition_no": Column(lambda number: number + 1000),
        "position": Column(lambda position: position + 1000),
        "epoch": Column(constant(-1)),
    },
    "log_records": {
        "partition_no": Column(other),
        "position": Column(lambda position: position + 1000),
        "install_id": Column(other),
        "body": Column(cut),
    },
}
"""A column of a table, and what is planted there. Where only a broken value is planted, `BY_FORM` says why."""

BY_FORM = {
    "a name, an operator's word": ("apps.name", "apps.is_disabled", "api_keys.name", "api_keys.scopes", "facts.actor",
                                   "auth_codes.actor"),
    "a keyed digest of a secret that the platform does not know": (
        "apps.secret_digest", "api_keys.digest", "installs.credential_digest", "spent_credentials.digest",
        "registrations.key_digest", "auth_codes.digest", "idempotency.body_hash"),
    "when something happened that only this row tells": (
        "apps.created_at", "api_keys.created_at", "api_keys.expires_at", "api_keys.revoked_at",
        "api_keys.last_used_at", "changes.at", "auth_codes.expires_at", "idempotency.at", "payloads.received_at",
        "installs.kept_from"),
    "what a device or a customer said, and only this row tells": (
        "installs.device", "users.metadata", "auth_codes.external_id", "payloads.body", "log_records.body",
        "installs.credential_key"),
    "what was answered or seen then": ("undo_answers.body", "traces.body", "idempotency.status", "idempotency.reply"),
    "history: how often it was told anew": ("events.revision",),
    "where it stands only; that nothing lies before it is noticed": ("log_head.position", "log_partitions.epoch"),
}  # fmt: skip

NO_CLAIM = {
    "only this row tells it, and nothing depends on it": (
        "facts.reason", "spent_credentials.spent_key", "auth_codes.minted_for", "changes.seq",
        "idempotency.idempotency_key", "log_records.received_at", "events.successor of a removed event"),
    "whether the files were purged is asked of the files, not of the row": ("receipts.is_purged",),
    "who works, and until when; a wrong one ends within seconds": (
        "log_partitions.holder", "log_partitions.leased_until"),
    "what is to be done; when it is done the timeline is compared": ("due.user_id", "due.from_ms", "due.version"),
    "beside what is served: compared or thrown away by the run that made it": (
        "imports.*", "replay_runs.*", "replay_users.*", "replay_timelines.*", "replay_checkpoints.*",
        "replay_events.*"),
    "checked when the database is opened": ("schema_migrations.*",),
    "there is none in the busy story; see the tests of retention below": (
        "floors.user_id", "floors.at_ms", "floors.state", "floors.last_fix"),
}  # fmt: skip

DELETED: dict[str, Column] = {
    "apps": Column(other),
    "facts": Column(other, SEEN),
    "installs": Column(other),
    "users": Column(other),
    "carriers": Column(other, mends=True),
    "spans": Column(other, mends=True),
    "payloads": Column(other, COUNTS),
    "timelines": Column(other, mends=True),
    "checkpoints": Column(other, LAST_OF_DAY, mends=True),
    "events": Column(other, LIVING, mends=True),
    "chunks": Column(other, mends=True),
    "tombstones": Column(other, "kind = 'user'"),
    "receipts": Column(other),
    "log_head": Column(other),
    "log_partitions": Column(other),
}
"""Tables of which a missing row is noticed."""

INSERTED = {
    "a span of nobody": "INSERT INTO spans SELECT x'eeeeeeeeeeeeeeeeeeeeeeee', user_id, 'standby', 'standby', from_ms,"
    " to_ms, cause, rival FROM spans LIMIT 1",
    "an account of nobody": "INSERT INTO carriers SELECT app_id, 'mallory', user_id FROM carriers LIMIT 1",
    "a second timeline": "INSERT INTO timelines SELECT x'eeeeeeeeeeeeeeeeeeeeeeee', at_ms, state, places, labels,"
    " places_until, last_fix FROM timelines LIMIT 1",
    "a timeline of a retired user": "INSERT INTO chunks SELECT u.user_id, c.day, c.body FROM users u, chunks c"
    " WHERE u.redirect IS NOT NULL LIMIT 1",
    "a due timeline of nobody": "INSERT INTO due VALUES (x'eeeeeeeeeeeeeeeeeeeeeeee', 0, 1)",
    "an upload twice": "INSERT INTO payloads SELECT i.install_id, p.seq, p.received_at, p.offset_ms, p.first_t,"
    " p.last_t, p.reach_ms, p.body FROM payloads p, installs i WHERE i.install_id <> p.install_id LIMIT 1",
    "an upload of an erased install": "INSERT INTO payloads SELECT i.install_id, p.seq + 1000, p.received_at,"
    " p.offset_ms, p.first_t, p.last_t, p.reach_ms, p.body FROM payloads p, installs i"
    " WHERE i.device LIKE '%\"other\"%' LIMIT 1",
    "a removed event that was never there": "INSERT INTO events SELECT user_id, 'zzz', start_ms, end_ms, 1, x'', NULL,"
    " NULL, TRUE FROM events LIMIT 1",
    "a redirect in a circle": "UPDATE users SET redirect = user_id WHERE user_id IN"
    " (SELECT user_id FROM carriers LIMIT 1)",
    "a key for everything": "UPDATE api_keys SET scopes = scopes || ' user.everything'",
}
MENDED_INSERTS = {"a span of nobody", "an account of nobody", "a second timeline", "a timeline of a retired user"}


# What is planted


class Corruption(NamedTuple):
    """One row, changed, deleted or added."""

    name: str
    table: str
    column: str | None
    how: Column
    turn: int
    statement: str | None = None

    def plant(self, path: Path) -> None:
        """Do it, past every check of the engine."""
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA ignore_check_constraints = ON")
            if self.statement is not None:
                file.execute(self.statement)
                return
            self._plant(file)

    def _plant(self, file: sqlite3.Connection) -> None:
        for at in self._rows(file):
            key = [name for name, *_, place in _columns(file, self.table) if place]
            row = file.execute(f"SELECT {', '.join(key)}, {self.column or 1} FROM {self.table} LIMIT 1 OFFSET {at}")
            *values, before = row.fetchone()
            where = " AND ".join(f"{name} IS ?" for name in key)
            matches = file.execute(f"SELECT 1 FROM {self.table} WHERE {where} AND ({self.how.where})", values)
            if matches.fetchone() is None:
                continue
            if self.column is None:
                file.execute(f"DELETE FROM {self.table} WHERE {where}", values)
                return
            try:
                file.execute(
                    f"UPDATE {self.table} SET {self.column} = ? WHERE {where}", [self.how.spoil(before), *values]
                )
            except sqlite3.IntegrityError:
                continue  # the database itself refuses to hold that
            if self.how.spoil(before) != before:
                return
        pytest.fail(f"nothing to plant: {self.name}")

    def _rows(self, file: sqlite3.Connection) -> Iterator[int]:
        """All rows, from one that the seed leads to."""
        (count,) = file.execute(f"SELECT count(*) FROM {self.table}").fetchone()
        first = zlib.crc32(f"{SEED} {self.table} {self.column} {self.turn}".encode())
        yield from ((first + step) % count for step in range(count))


def _columns(file: sqlite3.Connection, table: str) -> list[tuple[str, bool, int]]:
    """(name, is not null, place in the key) of each."""
    return [(row[1], bool(row[3]), row[5]) for row in file.execute(f"PRAGMA table_info({table})")]


CORRUPTIONS = [
    *(
        Corruption(f"{table}.{name} {turn}", table, name, how, turn)
        for table, columns in COLUMNS.items()
        for name, how in columns.items()
        for turn in range(how.rows)
    ),
    *(
        Corruption(f"{table} deleted {turn}", table, None, how, turn)
        for table, how in DELETED.items()
        for turn in range(2)
    ),
    *(
        Corruption(name, "", None, Column(other, mends=name in MENDED_INSERTS), 0, statement)
        for name, statement in INSERTED.items()
    ),
]


# Where it is planted


@dataclass
class Lived:
    """The story, closed, and what was served of everybody."""

    path: Path
    busy: Busy
    platform: InProcess
    timelines: dict[str, bytes]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    path = tmp_path_factory.mktemp("busy")

    async def story() -> Lived:
        async with InProcess(path) as platform:
            busy = await live(platform)
            waiting = await platform.context.store.read(lambda tx: tx.all("SELECT * FROM log_records"))
            assert waiting
            served = await served_of(platform, busy)
            return Lived(path / "unbroken.db", busy, platform, served)

    return asyncio.run(story())


async def served_of(platform: InProcess, busy: Busy) -> dict[str, bytes]:
    """What is served without processing what waits."""
    platform.settle, settle = _nothing, platform.settle  # type: ignore[method-assign]
    try:
        return await timelines(platform, busy)
    finally:
        platform.settle = settle  # type: ignore[method-assign]


async def _nothing() -> None:
    return


@asynccontextmanager
async def opened(lived: Lived, path: Path) -> AsyncIterator[InProcess]:
    """The same platform on a copy of its file."""
    from dataclasses import replace

    from unbroken.flow.standings import Standings
    from unbroken.log.embedded import EmbeddedLog

    store = await SqliteStore.open(path)
    try:
        platform = lived.platform
        platform.context = replace(platform.context, store=store, log=EmbeddedLog(store), standings=Standings())
        yield platform
    finally:
        await store.close()


async def looked_at(platform: InProcess, *, is_repairing: bool = False) -> Report:
    return await verify(platform.context, Wanted(), is_repairing=is_repairing, share=1)


TRUTH = {
    "facts": "*",
    "payloads": "*",
    "installs": "install_id, used, device, credential_digest, credential_key",
    "spent_credentials": "*",
    "registrations": "*",
    "tombstones": "*",
    "receipts": "*",
}


def truth(path: Path) -> dict[str, Any]:
    """What no repair may touch."""
    with closing(sqlite3.connect(path)) as file:
        return {table: file.execute(f"SELECT {columns} FROM {table}").fetchall() for table, columns in TRUTH.items()}


# The tests


def test_there_are_more_than_two_hundred():
    assert len(CORRUPTIONS) >= 200
    assert len({one.name for one in CORRUPTIONS}) == len(CORRUPTIONS)


def test_every_column_of_every_table_is_planted_in_or_said_to_claim_nothing(lived):
    free = {name for names in NO_CLAIM.values() for name in names}
    with closing(sqlite3.connect(lived.path)) as file:
        tables = [row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        every = {
            f"{table}.{column}"
            for table in tables
            if not table.startswith("sqlite_") and f"{table}.*" not in free
            for column, *_ in _columns(file, table)
        }
    planted = {f"{table}.{column}" for table, columns in COLUMNS.items() for column in columns}
    assert every - planted - free == set()
    assert {name for names in BY_FORM.values() for name in names} <= planted
    assert packaged()


def test_a_busy_story_gives_no_finding(lived, tmp_path):
    path = shutil.copy(lived.path, tmp_path / "unbroken.db")

    async def story() -> Report:
        async with opened(lived, path) as platform:
            return await looked_at(platform)

    report = asyncio.run(story())
    assert report.findings == []
    assert report.checked["people"] > 4
    assert report.checked["timelines"] > 5


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.name)
def test_a_corrupted_row_is_noticed_and_mended_where_that_is_proved(corruption, lived, tmp_path):
    path = shutil.copy(lived.path, tmp_path / "unbroken.db")
    corruption.plant(path)
    before = truth(path)

    async def story() -> tuple[Report, Report, dict[str, bytes]]:
        async with opened(lived, path) as platform:
            noticed = await looked_at(platform)
            mended = await looked_at(platform, is_repairing=True)
            served = {} if mended.findings else await served_of(platform, lived.busy)
            return noticed, mended, served

    noticed, mended, served = asyncio.run(story())
    assert noticed.findings, f"{corruption.name} was not noticed"
    assert truth(path) == before
    if corruption.how.mends:
        assert mended.findings == []
        assert mended.repaired
    if not mended.findings:
        assert served == lived.timelines

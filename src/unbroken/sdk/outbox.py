"""Items on disk until the platform has acknowledged them. What leaves unacknowledged leaves a recorded reason.

An item is first open; closing gathers open items into a payload, which then gets its id, once. SQLite, one connection
under one lock; a payload and everything about it moves in single transactions.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.sdk.errors import SdkError
from unbroken.sdk.forks import Opener
from unbroken.sdk.listeners import report
from unbroken.sdk.outbox_file import is_damage, open_file, remove_set_aside, set_aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unbroken.clock import Clock
    from unbroken.randomness import Randomness

PAYLOAD_ITEMS_MAX: Final = 500
PAYLOAD_MAX_BYTES: Final = 128 << 10
UPLOAD_MAX_BYTES: Final = 900 << 10  # before compression, so that even what does not compress stays under 1 MiB
_CLOSED_AT_ONCE: Final = 16 * PAYLOAD_ITEMS_MAX
_TRAFFIC_WINDOW_MS: Final = 30 * 24 * 3_600_000

_COUNT: Final = """
SELECT (SELECT count(*) FROM open_items) + (SELECT coalesce(sum(items), 0) FROM payloads),
    (SELECT coalesce(sum(length(body)), 0) FROM open_items) + (SELECT coalesce(sum(length(body)), 0) FROM payloads)
"""

_TRAFFIC: Final = "SELECT coalesce(sum(bytes), 0) FROM traffic WHERE abs(at_ms - ?) < ?"


@dataclass(frozen=True, slots=True)
class ClosedPayload:
    """A payload that waits; `body` is its JSON array of items, byte for byte the same at each attempt."""

    payload_id: str
    items: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """Items that will not be uploaded, and why. `payload_id` is None for items that were never closed.

    Of an outbox that was found damaged nobody knows how many there were: `items` is 0 then.
    """

    payload_id: str | None
    items: int
    reason: str
    at_ms: int


@dataclass(slots=True)
class Waiting:
    """How much waits, open or closed: counted when the outbox is opened, then kept beside the tables."""

    items: int
    size_bytes: int

    def add(self, items: int, size_bytes: int) -> None:
        """Count what came, or with negative numbers what went."""
        self.items += items
        self.size_bytes += size_bytes


class Outbox:
    """The waiting payloads of one storage. May be used from several threads; closed, every call raises `SdkError`.

    A file that is damaged is set aside, which the log and `dropped` tell, and another one takes its place: at the
    opening, or later, where the call that finds out fails and the next one goes on.
    """

    def __init__(self, path: Path, randomness: Randomness, clock: Clock) -> None:
        self._path = path
        self._opener = Opener()
        self._randomness = randomness
        self._clock = clock
        self._lock = threading.Lock()
        self._is_closed = False
        self._waiting = Waiting(0, 0)
        try:
            self._open_file()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            report(self._begin_anew(error), error)

    def _open_file(self) -> None:
        self._connection = open_file(self._path)
        try:
            self._waiting = Waiting(*self._connection.execute(_COUNT).fetchone())
        except BaseException:
            self._connection.close()
            raise

    def _begin_anew(self, damage: sqlite3.Error) -> str:
        """Set the file aside, and open another one in its place; what there is to tell."""
        waited, aside = self._waiting.items, set_aside(self._path)
        reason = f"the outbox was damaged ({damage}), and is kept as {aside.name}"
        self._open_file()
        _record(self._connection, "", Dropped(None, waited, reason, self._clock.now_ms()))
        return f"{reason} in {aside.parent}; what waited in it is not uploaded"

    def add(self, install_id: str, items: Sequence[bytes]) -> None:
        """Keep encoded items; on disk when this returns."""
        with self._transaction() as (sql, waiting):
            sql.executemany("INSERT INTO open_items (install_id, body) VALUES (?, ?)", [(install_id, i) for i in items])
            waiting.add(len(items), sum(map(len, items)))

    def close_open(self, install_id: str, now_ms: int) -> None:
        """Gather every item that is open now into payloads with ids; several, where the limits ask for it."""
        newest = self._number("SELECT coalesce(max(seq), 0) FROM open_items WHERE install_id = ?", install_id)
        while self._close_some(install_id, newest, now_ms):
            pass

    def _close_some(self, install_id: str, newest: int, now_ms: int) -> bool:
        """Some, so that they fit into memory and whoever captures need not wait for all; whether there were any."""
        with self._transaction() as (sql, waiting):
            rows = sql.execute(
                "SELECT seq, body FROM open_items WHERE install_id = ? AND seq <= ? ORDER BY seq LIMIT ?",
                (install_id, newest, _CLOSED_AT_ONCE),
            ).fetchall()
            for group in _groups(rows):
                body = b"[" + b",".join(item for _, item in group) + b"]"
                waiting.add(0, len(body) - sum(len(item) for _, item in group))
                sql.execute(
                    "INSERT INTO payloads (payload_id, install_id, items, body) VALUES (?, ?, ?, ?)",
                    (self._randomness.uuid(now_ms), install_id, len(group), body),
                )
                sql.execute("DELETE FROM open_items WHERE install_id = ? AND seq <= ?", (install_id, group[-1][0]))
        return bool(rows)

    def batch(self, install_id: str, limit: int = wire.PAYLOADS_MAX) -> list[ClosedPayload]:
        """The oldest waiting payloads that fit one upload: at most `limit`, at least one if any waits."""
        with self._using() as sql:
            rows = sql.execute(
                "SELECT payload_id, items, body FROM payloads WHERE install_id = ? ORDER BY seq LIMIT ?",
                (install_id, min(limit, wire.PAYLOADS_MAX)),
            ).fetchall()
        chosen: list[ClosedPayload] = []
        size = 0
        for payload in (ClosedPayload(*row) for row in rows):
            size += len(payload.body)
            if chosen and size > UPLOAD_MAX_BYTES:
                break
            chosen.append(payload)
        return chosen

    def acknowledge(self, install_id: str, results: Sequence[wire.PayloadResult], now_ms: int) -> int:
        """Forget payloads the platform holds; items it refused alone are recorded. How many items it holds now."""
        acknowledged = 0
        with self._transaction() as (sql, waiting):
            for result in results:
                items = _take_out(sql, waiting, result.payload_id)
                refused = result.invalid if items else ()
                acknowledged += items - len(refused)
                for item in refused:
                    reason = f"item {item.index}: {item.reason}"
                    _record(sql, install_id, Dropped(result.payload_id, 1, reason, now_ms))
        return acknowledged

    def drop(self, install_id: str, payloads: Sequence[ClosedPayload], reason: str, now_ms: int) -> None:
        """Give up payloads that cannot succeed, with the reason."""
        with self._transaction() as (sql, waiting):
            for payload in payloads:
                if _take_out(sql, waiting, payload.payload_id):
                    _record(sql, install_id, Dropped(payload.payload_id, payload.items, reason, now_ms))

    def drop_others(self, install_id: str | None, reason: str, now_ms: int) -> None:
        """Give up everything captured by installs that this device is no longer, with the reason."""
        with self._transaction() as (sql, waiting):
            sql.execute(
                "INSERT INTO dropped (install_id, payload_id, items, reason, at_ms)"
                " SELECT install_id, payload_id, items, ?, ? FROM payloads WHERE install_id IS NOT ?"
                " UNION ALL SELECT install_id, NULL, count(*), ?, ? FROM open_items WHERE install_id IS NOT ?"
                " GROUP BY install_id",
                (reason, now_ms, install_id) * 2,
            )
            sql.execute("DELETE FROM payloads WHERE install_id IS NOT ?", (install_id,))
            sql.execute("DELETE FROM open_items WHERE install_id IS NOT ?", (install_id,))
            waiting.items, waiting.size_bytes = sql.execute(_COUNT).fetchone()

    def dropped(self) -> list[Dropped]:
        """Everything that was given up, oldest first."""
        with self._using() as sql:
            rows = sql.execute("SELECT payload_id, items, reason, at_ms FROM dropped ORDER BY seq")
            return [Dropped(*row) for row in rows.fetchall()]

    def dropped_items(self) -> int:
        """How many items were given up."""
        return self._number("SELECT coalesce(sum(items), 0) FROM dropped")

    def waiting_items(self) -> int:
        """How many items wait, open or closed."""
        return self._waiting.items

    def used_bytes(self) -> int:
        """The size of everything that waits."""
        return self._waiting.size_bytes

    def count_traffic(self, size_bytes: int, now_ms: int) -> None:
        """Add an upload to the network quota's sliding window of 30 days. A clock may have been years ahead."""
        if not size_bytes:
            return
        with self._transaction() as (sql, _):
            sql.execute("DELETE FROM traffic WHERE abs(at_ms - ?) >= ?", (now_ms, _TRAFFIC_WINDOW_MS))
            sql.execute("INSERT INTO traffic (at_ms, bytes) VALUES (?, ?)", (now_ms, size_bytes))

    def traffic_bytes(self, now_ms: int) -> int:
        """What was uploaded within the last 30 days."""
        return self._number(_TRAFFIC, now_ms, _TRAFFIC_WINDOW_MS)

    def remove_set_aside(self) -> None:
        """Remove the files that were damaged: this device is another install now."""
        remove_set_aside(self._path)

    def close(self) -> None:
        """Close the file; what waits stays."""
        with self._lock:
            self._is_closed = True
            self._connection.close()

    @property
    def _open(self) -> sqlite3.Connection:
        if self._is_closed:
            raise SdkError("the SDK is closed")
        self._opener.require()  # SQLite allows no connection across a fork
        return self._connection

    def _number(self, statement: str, *parameters: int | str) -> int:
        with self._using() as sql:
            return int(sql.execute(statement, parameters).fetchone()[0])

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """One at a time. Damage is told when others may go on: whoever hears of it may ask the outbox."""
        with ExitStack() as afterwards, self._lock:
            try:
                yield self._open
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    self._connection.close()
                    with suppress(OSError, sqlite3.Error):  # the disk refuses: the next start tries again
                        afterwards.callback(report, self._begin_anew(error), error)
                raise

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sqlite3.Connection, Waiting]]:
        """All or nothing, of the tables as of the sums."""
        with self._using() as connection:
            waiting = replace(self._waiting)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection, waiting
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._waiting = waiting


def _groups(rows: Sequence[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    group: list[tuple[int, bytes]] = []
    size = 0
    for row in rows:
        if group and (len(group) == PAYLOAD_ITEMS_MAX or size + len(row[1]) > PAYLOAD_MAX_BYTES):
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row[1]) + 1
    if group:
        yield group


def _take_out(sql: sqlite3.Connection, waiting: Waiting, payload_id: str) -> int:
    """Delete a payload; how many items it had, 0 where it is not there any more."""
    row = sql.execute("SELECT items, length(body) FROM payloads WHERE payload_id = ?", (payload_id,)).fetchone()
    if row is None:
        return 0
    sql.execute("DELETE FROM payloads WHERE payload_id = ?", (payload_id,))
    waiting.add(-row[0], -row[1])
    return int(row[0])


def _record(sql: sqlite3.Connection, install_id: str, dropped: Dropped) -> None:
    sql.execute(
        "INSERT INTO dropped (install_id, payload_id, items, reason, at_ms) VALUES (?, ?, ?, ?, ?)",
        (install_id, dropped.payload_id, dropped.items, dropped.reason, dropped.at_ms),
    )

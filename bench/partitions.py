"""What partitions of the payloads and events would cost and save, as times the CPU that PostgreSQL spends without them.

The statements are the platform's own, on three kinds of tables: whole; by a hash of the install or user; and, for
payloads, by the day of receipt. CPU of the server's process is counted, as other work on the machine disturbs it less
than it does the time. `python -m bench.partitions` prints the table of docs/decisions/0018.
"""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from unbroken.store import payloads, timelines
from unbroken.testing.postgres import PostgresServer

# ruff: noqa: SLF001 - what is measured is what the platform says

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY_MS: Final = 86_400_000
HASHES: Final = 16
A_DAY: Final = 4
_WARM: Final = 50
_STRIDE: Final = 7_919
"""Through the installs, so that none is asked about twice in a row."""

_WHOSE: Final = "CREATE TABLE installs (install_id BYTEA, user_id BYTEA); CREATE INDEX ON installs (user_id)"
_PAYLOADS: Final = """CREATE TABLE payloads (
    install_id BYTEA NOT NULL, seq BIGINT NOT NULL, received_at BIGINT NOT NULL, offset_ms BIGINT NOT NULL,
    first_t BIGINT NOT NULL, last_t BIGINT NOT NULL, reach_ms BIGINT NOT NULL, body BYTEA NOT NULL,
    PRIMARY KEY ({key})) {by}"""
_EVENTS: Final = """CREATE TABLE events (
    user_id BYTEA NOT NULL, event_id TEXT NOT NULL, start_ms BIGINT NOT NULL, end_ms BIGINT, revision BIGINT NOT NULL,
    body BYTEA NOT NULL, place_id TEXT, successor TEXT, is_removed BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, event_id)) {by}"""
_ID: Final = "decode(lpad(to_hex(i), 24, '0'), 'hex')"
_EACH: Final = (
    "FROM generate_series(0, {days} - 1) d, generate_series(0, {a_day} - 1) n, generate_series(1, {installs}) i"
)
_PEOPLE: Final = f"INSERT INTO installs SELECT {_ID}, {_ID} FROM generate_series(1, {{installs}}) i"
_UPLOADS: Final = f"""INSERT INTO payloads
    SELECT {_ID}, (d * {{a_day}} + n) * {{installs}} + i, t, 0, t - 3600000, t, t,
        decode(repeat(md5(i::text || t), 20), 'hex')
    {_EACH}, LATERAL (SELECT d::bigint * {DAY_MS} + n * 21600000 AS t) x"""
_STAYS: Final = f"""INSERT INTO events
    SELECT {_ID}, md5(i::text || d || n), d::bigint * {DAY_MS} + n * 21600000, NULL, 1,
        decode(repeat(md5(n::text), 10), 'hex'), NULL, NULL, FALSE {_EACH}"""
_INDEXES: Final = "CREATE INDEX ON payloads (install_id, reach_ms); CREATE INDEX ON events (user_id, start_ms)"
_FILL: Final = (_PEOPLE, _UPLOADS, _STAYS, _INDEXES, "VACUUM ANALYZE")
KINDS: Final = ("whole", "hashed", "by day")


class Size(NamedTuple):
    """How much is stored, and how often each statement is run."""

    installs: int = 3_000
    days: int = 92
    rounds: int = 5
    times: int = 600


def tables(kind: str, days: int) -> list[str]:
    """The statements that make the empty tables of a kind."""
    if kind == "whole":
        return [_PAYLOADS.format(key="install_id, seq", by=""), _EVENTS.format(by="")]
    by_user = [_EVENTS.format(by="PARTITION BY HASH (user_id)"), *_hashed("events")]
    if kind == "hashed":
        made = _PAYLOADS.format(key="install_id, seq", by="PARTITION BY HASH (install_id)")
        return [made, *_hashed("payloads"), *by_user]
    made = _PAYLOADS.format(key="install_id, seq, received_at", by="PARTITION BY RANGE (received_at)")
    return [made, *(_day(number) for number in range(days + 1)), *by_user]


def _hashed(table: str) -> list[str]:
    part = f"CREATE TABLE {table}_{{0}} PARTITION OF {table} FOR VALUES WITH (MODULUS {HASHES}, REMAINDER {{0}})"
    return [part.format(number) for number in range(HASHES)]


def _day(number: int) -> str:
    bounds = f"FROM ({number * DAY_MS}) TO ({(number + 1) * DAY_MS})"
    return f"CREATE TABLE payloads_of_{number} PARTITION OF payloads FOR VALUES {bounds}"


class Tables:
    """The tables of a kind, filled, in a schema of their own; and the CPU of the process that keeps them."""

    def __init__(self, kind: str, connection: Any) -> None:
        self.kind = kind
        self.connection = connection
        self._spent = Path(f"/proc/{connection.get_server_pid()}/schedstat")

    @classmethod
    async def make(cls, url: str, kind: str, size: Size) -> Tables:
        connection = await asyncpg.connect(url)
        schema = f"{await connection.fetchval('SELECT current_schema()')}_{kind.replace(' ', '_')}"
        await connection.execute(f"SET synchronous_commit = off; CREATE SCHEMA {schema}; SET search_path = {schema}")
        for statement in (_WHOSE, *tables(kind, size.days), *_FILL):
            await connection.execute(statement.format(days=size.days, a_day=A_DAY, installs=size.installs))
        return cls(kind, connection)

    def cpu_us(self) -> float:
        return int(self._spent.read_text().split()[0]) / 1_000

    async def each(self, statement: str, values: Sequence[Sequence[Any]]) -> float:
        """CPU of one execution, when it is known."""
        prepared = await self.connection.prepare(self._said(statement))
        before = 0.0
        for number, one in enumerate(values):
            if number == min(_WARM, len(values) // 2):
                before = self.cpu_us()
            await prepared.fetch(*one)
        return (self.cpu_us() - before) / (len(values) - min(_WARM, len(values) // 2))

    async def at_once(self, statement: str, rows: int) -> float:
        """CPU of a row of one statement for many."""
        before = self.cpu_us()
        await self.connection.execute(statement)
        return (self.cpu_us() - before) / rows

    def _said(self, statement: str) -> str:
        """A unique key of a partitioned table holds what it is partitioned by."""
        return (
            statement.replace("(install_id, seq) DO", "(install_id, seq, received_at) DO")
            if (self.kind == "by day")
            else statement
        )


def work(size: Size, round_: int) -> dict[str, tuple[str, list[Sequence[Any]]]]:
    """Each statement with the values of one round."""
    last, first = (size.days - 1) * DAY_MS, 10**9 + round_ * size.times
    who = [(number * _STRIDE % size.installs + 1).to_bytes(12, "big") for number in range(first, first + size.times)]
    seqs = list(enumerate(who, first))
    body = bytes(320)
    return {
        "payloads of a user from a day on": (payloads._OF_USER, [(one, last) for one in who]),
        "the same, if receipt bounded it": (
            payloads._OF_USER.replace(">= $2", ">= $2 AND p.received_at >= $2"), [(one, last) for one in who],
        ),
        "rivals of an upload": (payloads._RIVALS, [(one, last, last, 0) for one in who]),
        "keep an upload": (payloads._ADD, [(one, seq, last, 0, last, last, last, body) for seq, one in seqs]),
        "extend its reach": (payloads._EXTEND, [(one, seq, last + 1) for seq, one in seqs]),
        "events of a user from a day on": (timelines._EVENTS_FROM, [(one, last) for one in who]),
        "write an event": (
            timelines._SET_EVENT,
            [(one, str(seq), last, None, 1, body, None, None, False) for seq, one in seqs],
        ),
    }  # fmt: skip


async def measure(url: str, size: Size) -> dict[str, dict[str, float]]:
    """CPU in microseconds, by what is done and kind of table; medians over the rounds, which take turns."""
    kinds = [await Tables.make(url, kind, size) for kind in KINDS]
    found: dict[str, dict[str, list[float]]] = {}
    for round_ in range(size.rounds):
        for (name, (statement, values)), one in product(work(size, round_).items(), kinds):
            found.setdefault(name, {}).setdefault(one.kind, []).append(await one.each(statement, values))
    told = {name: {kind: median(us) for kind, us in of.items()} for name, of in found.items()}
    told["let a day go, with its vacuum"] = {one.kind: await _let_go(one, size.installs * A_DAY) for one in kinds}
    for one in kinds:
        await one.connection.close()
    return told


async def _let_go(one: Tables, rows: int) -> float:
    if one.kind == "by day":
        return await one.at_once("DROP TABLE payloads_of_0", rows)
    gone = await one.at_once(f"DELETE FROM payloads WHERE received_at < {DAY_MS}", rows)
    return gone + await one.at_once("VACUUM (PARALLEL 0) payloads", rows)


def page(told: dict[str, dict[str, float]]) -> str:
    """As a table, in times of what the whole table takes."""
    lines = [f"| | {KINDS[1]} | {KINDS[2]} |", "| --- | --- | --- |"]
    for name, of in told.items():
        times = [f"{of[kind] / of['whole']:.2f}" for kind in KINDS[1:]]
        lines.append(f"| {name} | {times[0]} | {times[1]} |")
    return "\n".join(lines)


def main() -> None:
    with PostgresServer(fsync="off", shared_buffers="1GB") as server:
        print(page(asyncio.run(measure(server.url(), Size()))))


if __name__ == "__main__":
    main()

"""PostgreSQL's part of a move (`store/movable.py`)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from unbroken.store.contract import StoreUnavailable
from unbroken.store.movable import HeldTransaction, Shape, shape
from unbroken.store.postgres.commit import Unsure, commit
from unbroken.store.postgres.connection import Limits, Url
from unbroken.store.postgres.opening import be_durable
from unbroken.store.postgres.store import PostgresStore
from unbroken.store.postgres.transaction import Running
from unbroken.store.postgres.trouble import trouble
from unbroken.store.postgres.writer import BEGIN, close

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from unbroken.store.contract import Call, Transaction

T = TypeVar("T")

_COLUMNS: Final = """
    SELECT c.relname, a.attname, a.atttypid = 'boolean'::regtype, a.attidentity <> '',
        array_position(i.indkey::int2[], a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname COLLATE "C", a.attnum"""
_LAST: Final = "SELECT pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass)"
_SET: Final = "SELECT setval(pg_get_serial_sequence($1, $2)::regclass, $3)"


class MovablePostgres:
    """A `Movable` in a PostgreSQL database."""

    overriding: Final = "OVERRIDING SYSTEM VALUE"

    def __init__(self, store: PostgresStore, url: str, limits: Limits) -> None:
        self.store = store
        self._text = url
        self._url = Url(url)
        self._limits = limits

    @property
    def place(self) -> str:
        """See `Movable.place`."""
        return self._url.place

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the database at `url` as it is.

        Raises:
            StoreRefused: with a sentence that says what to do.
        """
        limits = Limits()
        return cls(await PostgresStore.open(url, as_it_is=True, limits=limits), url, limits)

    async def make_tables(self) -> None:
        """See `Movable.make_tables`."""
        await (await PostgresStore.open(self._text)).close()

    async def shapes(self, tx: Transaction) -> list[Shape]:
        """See `Movable.shapes`. The partitions of a table are its own business."""
        rows = await tx.all(_COLUMNS)
        return [shape(name, [row[1:] for row in of]) for name, of in groupby(rows, key=lambda row: row[0])]

    async def counted(self, tx: Transaction, table: Shape) -> int:
        """See `Movable.counted`."""
        row = await tx.one(_LAST, table.name, table.counter)
        return int(row[0] or 0) if row else 0

    async def count_from(self, tx: Transaction, table: Shape, number: int) -> None:
        """See `Movable.count_from`."""
        if number > 0:
            await tx.one(_SET, table.name, table.counter, number)

    async def get_to_know(self, tx: Transaction, tables: Sequence[Shape]) -> None:
        """See `Movable.get_to_know`."""
        for table in tables:
            await tx.run(f'ANALYZE "{table.name}"')

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[Transaction]:
        """See `Movable.standing_still`."""
        try:
            connection = await self._url.connect(self._limits, is_long=True, idle_in_transaction_session_timeout="0")
        except Exception as error:
            raise trouble(error) from error
        try:
            await _begin(connection)
            yield HeldTransaction(partial(_run, connection))
            await _commit(connection, self._limits.long_commit_s)
        finally:
            await close(connection)  # what was not committed is taken back by that


async def _begin(connection: Any) -> None:
    try:
        await be_durable(connection)
        await connection.execute(BEGIN)
    except Exception as error:
        raise trouble(error) from error


async def _commit(connection: Any, limit_s: float) -> None:
    try:
        done = await commit(connection, has_written=False, limit_s=limit_s)
    except Unsure as unsure:
        raise StoreUnavailable(f"It is not known whether this was made durable: {unsure}.") from unsure
    except Exception as error:
        raise trouble(error) from error
    if done != "COMMIT":
        raise StoreUnavailable("The database took everything back.")


async def _run(connection: Any, call: Call[T]) -> T:
    outcome = await Running(call).to_its_end(connection)
    if outcome.error is not None:
        raise outcome.error
    return outcome.answer  # type: ignore[return-value]

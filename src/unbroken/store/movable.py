"""What a move needs of an engine beside the contract: what its tables are like, their counters, and to stand still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from unbroken.store.contract import CallRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from unbroken.sealing import KeyRing
    from unbroken.store.contract import Call, Row, Seal, Store, Transaction, Value

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as the engine says it.

    Args:
        name: as it is called now, with the prefix of `whereabouts`.
        key: the columns of the primary key, in its order.
        columns: the others, by name.
        truths: which of all columns are BOOLEAN.
        counter: the column whose numbers the database counts up itself, or None.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    truths: frozenset[str]
    counter: str | None

    @property
    def all(self) -> tuple[str, ...]:
        """The key, then the others: a row in this order is one that this package's functions take and give."""
        return (*self.key, *self.columns)


def shape(name: str, columns: Sequence[tuple[str, bool, bool, int | None]]) -> Shape:
    """A table of (column, is it BOOLEAN, does the database count it up, place in the primary key)."""
    keyed = sorted((place, column) for column, _, _, place in columns if place is not None)
    return Shape(
        name=name,
        key=tuple(column for _, column in keyed),
        columns=tuple(sorted(column for column, _, _, place in columns if place is None)),
        truths=frozenset(column for column, is_truth, _, _ in columns if is_truth),
        counter=next((column for column, _, is_counted, _ in columns if is_counted), None),
    )


class Movable(Protocol):
    """A database of one engine, opened for a move: also one that no server would open (`whereabouts`)."""

    @property
    def store(self) -> Store:
        """Its calls."""
        ...

    @property
    def place(self) -> str:
        """Where it is, for people, without a password."""
        ...

    @property
    def overriding(self) -> str:
        """What an INSERT says between columns and VALUES to bring the numbers of a counter along."""
        ...

    async def make_tables(self) -> None:
        """Make the tables of this version of Unbroken in an empty database."""
        ...

    async def shapes(self, tx: Transaction) -> list[Shape]:
        """The tables, by name."""
        ...

    async def counted(self, tx: Transaction, table: Shape) -> int:
        """The last number that the counter of a table gave out, also to rows that are gone; 0 where none."""
        ...

    async def count_from(self, tx: Transaction, table: Shape, number: int) -> None:
        """Let the counter go on behind `number`."""
        ...

    async def get_to_know(self, tx: Transaction, tables: Sequence[Shape]) -> None:
        """Let the engine count what was brought in, so that it plans its first reads well."""
        ...

    def standing_still(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction beside which nobody writes, in no process, while others read on.

        Its owner may await anything between its statements. Committed at the end; any error takes all of it back.

        Raises:
            StoreUnavailable: another writer did not make way in time, or nothing of it stays.
        """
        ...


class HeldTransaction:
    """The `Transaction` of `Movable.standing_still`: each statement is a call of its own on one open transaction.

    Args:
        run: runs a call there.
    """

    def __init__(self, run: Callable[[Call[Any]], Awaitable[Any]]) -> None:
        self._run = run
        self.keys: KeyRing | None = None
        self.sealing: Any = None

    async def all(self, statement: str, *values: Value) -> list[Row]:
        """See `Transaction.all`."""
        rows: list[Row] = await self._run(lambda tx: tx.all(statement, *values))
        return rows

    async def one(self, statement: str, *values: Value) -> Row | None:
        """See `Transaction.one`."""
        row: Row | None = await self._run(lambda tx: tx.one(statement, *values))
        return row

    async def run(self, statement: str, *values: Value) -> int:
        """See `Transaction.run`."""
        return int(await self._run(lambda tx: tx.run(statement, *values)))

    async def each(self, statement: str, rows: Sequence[Sequence[Value]]) -> list[list[Row]]:
        """See `Transaction.each`."""
        answers: list[list[Row]] = await self._run(lambda tx: tx.each(statement, rows))
        return answers

    async def many(self, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        """See `Transaction.many`."""
        await self._run(lambda tx: tx.many(statement, rows))

    async def hold(self, *keys: bytes, beside: bool = False) -> None:
        """See `Transaction.hold`; its owner is alone."""

    def wake(self) -> None:
        """See `Transaction.wake`. What a move brings is not in use yet."""

    def audit(self, content: bytes, seal: Seal) -> None:  # noqa: ARG002
        """See `Transaction.audit`.

        Raises:
            CallRefused: its owner changes nothing that would have to be written down.
        """
        raise CallRefused("A move writes nothing down here.")

    async def elsewhere(self, look: Callable[[], Awaitable[T]]) -> T:
        """See `Transaction.elsewhere`; its owner may await anything."""
        return await look()

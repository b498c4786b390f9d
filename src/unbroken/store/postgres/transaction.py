"""One call on one connection.

The call is driven step by step: each statement that it awaits comes out as a value, is put to the server while the
event loop does other things, and its answer goes back in. So whatever else the call awaits is noticed, as on SQLite;
and whoever drives several calls can put what they ask together (`beside`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from unbroken.store.audit import Noted
from unbroken.store.contract import Call, CallRefused, Row, Seal, Value
from unbroken.store.postgres import together
from unbroken.store.postgres.trouble import trouble
from unbroken.store.sql import numbered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from unbroken.sealing import KeyRing
    from unbroken.store.sql import Numbered

T = TypeVar("T")


class Kind(IntEnum):
    """What a call awaits. A number, as it is looked up for every statement."""

    ROWS = auto()
    """The rows of an answer."""
    COUNT = auto()
    """How many rows a statement changed."""
    EACH = auto()
    """The rows of the answer to a statement for each of many values."""
    MANY = auto()
    """Nothing, after a statement was run for each of many rows."""
    LOOK = auto()
    """A look at another system."""
    HOLD = auto()
    """That nobody beside it holds the same."""
    BESIDE = auto()
    """The same, of a call that may have others beside it."""


class Asked:
    """What a call awaits, on its way to the driver of the call.

    Args:
        statement: what the server is to be told; None for a look and a hold.
        values: of the statement's parameters; for `EACH` and `MANY` those of each row; for a hold the keys.
    """

    __slots__ = ("kind", "look", "statement", "transaction", "values")

    def __init__(
        self,
        transaction: PostgresTransaction,
        kind: Kind,
        statement: Numbered | None,
        values: Sequence[Any],
        look: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self.transaction = transaction
        self.kind = kind
        self.statement = statement
        self.values = values
        self.look = look

    def __await__(self) -> Generator[Asked, Any, Any]:
        return (yield self)

    async def put(self, connection: Any) -> Any:
        """The answer, asked for this call alone."""
        if self.look is not None:
            return await self.look()
        if self.statement is None:
            return None  # calls that are run one after the other hold everything
        if self.kind is Kind.ROWS:
            return await connection.fetch(self.statement.text, *self.values)
        if self.kind is Kind.EACH:
            return await together.rows_of_each(connection, self.statement, self.values)
        if self.kind is Kind.MANY:
            return await together.many(connection, self.statement, self.values)
        tag = await connection.execute(self.statement.text, *self.values)
        count = tag.rpartition(" ")[2]  # INSERT 0 1, UPDATE 2
        return int(count) if count.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a call ended: with an answer, or with an error that is its own or of a statement of it."""

    answer: T | None
    error: BaseException | None
    has_written: bool = False
    """It has surely changed a row; False: perhaps."""
    wakes: bool = False
    """It left something to do (`Transaction.wake`)."""
    noted: Sequence[Noted] = ()
    """What is to be written down in the audit log (`Transaction.audit`); nothing where the call ended with an error."""


class PostgresTransaction:
    """See `Transaction`. Begin and commit are the business of its owner."""

    __slots__ = ("_failed", "cause", "has_written", "is_clean", "keys", "noted", "sealing", "wakes")

    def __init__(self) -> None:
        self._failed: Exception | None = None
        self.cause: Exception | None = None
        """What the server or the connection said when a statement failed."""
        self.is_clean = True
        """Nothing was written, and no statement failed: there is nothing to take back."""
        self.has_written = False
        """See `Outcome.has_written`."""
        self.wakes = False
        """See `Outcome.wakes`."""
        self.noted: list[Noted] = []
        """See `Outcome.noted`."""
        self.keys: KeyRing | None = None
        self.sealing: Any = None

    async def all(self, statement: str, *values: Value) -> list[Row]:
        """See `Transaction.all`."""
        return [tuple(row) for row in await self._rows(statement, values)]

    async def one(self, statement: str, *values: Value) -> Row | None:
        """See `Transaction.one`."""
        rows = await self._rows(statement, values)
        return tuple(rows[0]) if rows else None

    async def run(self, statement: str, *values: Value) -> int:
        """See `Transaction.run`."""
        said = self._said(statement, (values,))
        count: int = await Asked(self, Kind.COUNT, said, values)
        self.has_written |= said.only_changes and count > 0
        return count

    async def each(self, statement: str, rows: Sequence[Sequence[Value]]) -> list[list[Row]]:
        """See `Transaction.each`."""
        said = self._said(statement, rows)
        if not rows:
            return []
        answers = await Asked(self, Kind.EACH, said, rows)
        self.has_written |= said.only_changes and any(answers)
        return [[tuple(row) for row in answer] for answer in answers]

    async def many(self, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        """See `Transaction.many`."""
        said = self._said(statement, rows)
        if rows:
            await Asked(self, Kind.MANY, said, rows)

    async def hold(self, *keys: bytes, beside: bool = False) -> None:
        """See `Transaction.hold`."""
        if self._failed is not None:
            raise self._failed
        await Asked(self, Kind.BESIDE if beside else Kind.HOLD, None, keys)

    def wake(self) -> None:
        """See `Transaction.wake`."""
        self.wakes = True

    def audit(self, content: bytes, seal: Seal) -> None:
        """See `Transaction.audit`."""
        self.noted.append(Noted(content, seal))

    async def elsewhere(self, look: Callable[[], Awaitable[T]]) -> T:
        """See `Transaction.elsewhere`."""
        if self._failed is not None:
            raise self._failed
        found: T = await Asked(self, Kind.LOOK, None, (), look)
        return found

    async def _rows(self, statement: str, values: Sequence[Value]) -> Any:
        said = self._said(statement, (values,))
        rows = await Asked(self, Kind.ROWS, said, values)
        self.has_written |= said.only_changes and bool(rows)
        return rows

    def _said(self, statement: str, rows: Sequence[Sequence[Value]]) -> Numbered:
        if self._failed is not None:
            raise self._failed
        try:
            known = numbered(statement)
            for values in rows:
                known.refuse_unless_fitting(values)
        except Exception as error:
            raise self.fail(error) from error
        self.is_clean &= known.only_reads
        return known

    def fail(self, error: Exception) -> Exception:
        """What the call is told of a statement that failed; nothing can follow it."""
        self.cause = error
        self.is_clean = False
        self._failed = trouble(error)
        if self._failed is not error:
            self._failed.__cause__ = error
        return self._failed

    def end(self) -> Exception | None:
        """Let nothing follow; how a statement failed, if one did."""
        failed, self._failed = self._failed, CallRefused("This transaction has ended.")
        return failed


class Running(Generic[T]):
    """A call on its way: what it asks for now, or how it ended.

    Args:
        call: begins at once, and goes to the first thing that it awaits.
    """

    __slots__ = ("_steps", "asked", "outcome", "transaction")

    def __init__(self, call: Call[T]) -> None:
        self.transaction = PostgresTransaction()
        self.asked: Asked | None = None
        self.outcome: Outcome[T] | None = None
        try:
            self._steps = call(self.transaction).__await__()
        except BaseException as error:  # noqa: BLE001 - the owner tells it to the waiter
            self._end(None, error)
        else:
            self.go_on(None)

    def go_on(self, answer: Any, error: Exception | None = None) -> None:
        """Give the call what it asked for, and let it go to what it asks for next."""
        try:
            asked = self._steps.send(answer) if error is None else self._steps.throw(error)
        except StopIteration as end:
            self._end(end.value, None)
        except BaseException as raised:  # noqa: BLE001 - the owner tells it to the waiter
            self._end(None, raised)
        else:
            if isinstance(asked, Asked) and asked.transaction is self.transaction:
                self.asked = asked
                return
            self.give_up()
            self._end(None, CallRefused("A call may await nothing but its own transaction."))

    async def to_its_end(self, connection: Any) -> Outcome[T]:
        """Drive the call alone.

        Raises:
            BaseException: none of the call, but that whoever runs it was cancelled.
        """
        while self.asked is not None:
            try:
                answer = await self.asked.put(connection)
            except Exception as met:  # noqa: BLE001 - the call gets it
                self.go_on(None, self.transaction.fail(met))
            else:
                self.go_on(answer)
        assert self.outcome is not None
        return self.outcome

    def give_up(self) -> None:
        """Leave the call where it is; it can be run again from the start."""
        self.asked = None
        self.transaction.end()  # so that nothing it does on its way out asks again
        with suppress(Exception):
            self._steps.close()

    def _end(self, answer: T | None, error: BaseException | None) -> None:
        self.asked = None
        failed = self.transaction.end()
        transaction = self.transaction
        answer, told = answer if error is None else None, error or failed
        noted = transaction.noted if told is None else ()
        self.outcome = Outcome(answer, told, transaction.has_written, transaction.wakes, noted)

"""One call on one connection.

The call is driven step by step: each statement that it awaits comes out as a value, is put to the server while the
event loop does other things, and its answer goes back in. So whatever else the call awaits is noticed, as on SQLite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from unbroken.store.contract import Call, CallRefused, Row, Value
from unbroken.store.postgres.trouble import trouble
from unbroken.store.sql import numbered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

T = TypeVar("T")


class _Asked:
    """A statement on its way to the driver of its call."""

    __slots__ = ("put", "transaction")

    def __init__(self, transaction: PostgresTransaction, put: Callable[[Any], Awaitable[Any]]) -> None:
        self.transaction = transaction
        self.put = put

    def __await__(self) -> Generator[_Asked, Any, Any]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a call ended: with an answer, or with an error that is its own or of a statement of it."""

    answer: T | None
    error: BaseException | None
    wakes: bool = False
    """It left something to do (`Transaction.wake`)."""


class PostgresTransaction:
    """See `Transaction`. Begin and commit are the business of its owner.

    Args:
        connection: of asyncpg.
    """

    __slots__ = ("_connection", "_failed", "_wakes", "cause", "is_clean")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._failed: Exception | None = None
        self._wakes = False
        self.cause: Exception | None = None
        """What the server or the connection said when a statement failed."""
        self.is_clean = True
        """Nothing was written, and no statement failed: there is nothing to take back."""

    async def run_call(self, call: Call[T]) -> Outcome[T]:
        """Run `call` to its end.

        Raises:
            BaseException: none of the call, but that whoever runs it was cancelled.
        """
        try:
            answer = await self._drive(call)
        except _Raised as raised:
            outcome: Outcome[T] = Outcome(None, raised.error)
        else:
            outcome = Outcome(answer, self._failed, self._wakes)
        self._failed = CallRefused("This transaction has ended.")
        return outcome

    async def _drive(self, call: Call[T]) -> T:
        steps = _begin(call, self)
        answer, error = None, None
        while True:
            try:
                asked = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            except BaseException as raised:  # noqa: BLE001 - the owner tells it to the waiter
                raise _Raised(raised) from None
            if not isinstance(asked, _Asked) or asked.transaction is not self:
                steps.close()
                raise _Raised(CallRefused("A call may await nothing but its own transaction."))
            answer, error = None, None
            try:
                answer = await asked.put(self._connection)
            except Exception as met:  # noqa: BLE001 - the call gets it
                error = self._fail(met)

    async def all(self, statement: str, *values: Value) -> list[Row]:
        """See `Transaction.all`."""
        return [tuple(row) for row in await self._ask("fetch", statement, values)]

    async def one(self, statement: str, *values: Value) -> Row | None:
        """See `Transaction.one`."""
        rows = await self._ask("fetch", statement, values)
        return tuple(rows[0]) if rows else None

    async def run(self, statement: str, *values: Value) -> int:
        """See `Transaction.run`."""
        tag = await self._ask("execute", statement, values)
        count = tag.rpartition(" ")[2]  # INSERT 0 1, UPDATE 2
        return int(count) if count.isdigit() else 0

    async def many(self, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        """See `Transaction.many`."""
        text = self._said(statement, rows)
        if rows:
            await _Asked(self, lambda connection: connection.executemany(text, rows))

    def wake(self) -> None:
        """See `Transaction.wake`."""
        self._wakes = True

    async def elsewhere(self, look: Callable[[], Awaitable[T]]) -> T:
        """See `Transaction.elsewhere`."""
        if self._failed is not None:
            raise self._failed
        found: T = await _Asked(self, lambda _: look())
        return found

    async def _ask(self, method: str, statement: str, values: Sequence[Value]) -> Any:
        text = self._said(statement, (values,))
        return await _Asked(self, lambda connection: getattr(connection, method)(text, *values))

    def _said(self, statement: str, rows: Sequence[Sequence[Value]]) -> str:
        if self._failed is not None:
            raise self._failed
        try:
            known = numbered(statement)
            for values in rows:
                known.refuse_unless_fitting(values)
        except Exception as error:
            raise self._fail(error) from error
        self.is_clean &= known.only_reads
        return known.text

    def _fail(self, error: Exception) -> Exception:
        self.cause = error
        self.is_clean = False
        self._failed = trouble(error)
        if self._failed is not error:
            self._failed.__cause__ = error
        return self._failed


class _Raised(Exception):
    """What the call itself raised, apart from what happens to the one who drives it."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _begin(call: Call[Any], transaction: PostgresTransaction) -> Generator[Any, Any, Any]:
    try:
        return call(transaction).__await__()
    except BaseException as error:  # noqa: BLE001 - as above
        raise _Raised(error) from None

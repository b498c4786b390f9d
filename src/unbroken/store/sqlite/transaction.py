"""One call on one connection: it is driven here, without an event loop."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar

from unbroken.store.audit import Noted
from unbroken.store.contract import Call, CallRefused, Row, Seal, Value
from unbroken.store.sql import positional
from unbroken.store.sqlite.connection import trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from unbroken.sealing import KeyRing

T = TypeVar("T")


class SqliteTransaction:
    """See `Transaction`. None of its methods ever suspends. Begin and commit are the business of its owner."""

    __slots__ = ("_cursor", "_failed", "keys", "noted", "sealing")

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self.noted: list[Noted] = []
        """What is to be written down in the audit log (`Transaction.audit`)."""
        self._failed: Exception | None = None
        self.keys: KeyRing | None = None
        self.sealing: Any = None

    def run_call(self, call: Call[T]) -> T:
        """Run `call` to its end.

        Raises:
            CallRefused: it suspended.
            Exception: what it raised, or what a statement of it met, even if it caught that.
        """
        try:
            answer = _drive(call, self)
            if self._failed is not None:
                raise self._failed
            return answer
        finally:
            self._failed = CallRefused("This transaction has ended.")

    async def all(self, statement: str, *values: Value) -> list[Row]:
        """See `Transaction.all`."""
        return self._answer(statement, values)

    async def one(self, statement: str, *values: Value) -> Row | None:
        """See `Transaction.one`."""
        rows = self._answer(statement, values)
        return rows[0] if rows else None

    async def hold(self, *keys: bytes, beside: bool = False) -> None:
        """See `Transaction.hold`; calls are run one after the other."""

    def wake(self) -> None:
        """See `Transaction.wake`. Whoever waits looks by itself (`SqliteStore.woken`)."""

    def audit(self, content: bytes, seal: Seal) -> None:
        """See `Transaction.audit`."""
        self.noted.append(Noted(content, seal))

    async def elsewhere(self, look: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002
        """See `Transaction.elsewhere`."""
        raise CallRefused("A call on SQLite may not wait for another system.")

    async def run(self, statement: str, *values: Value) -> int:
        """See `Transaction.run`."""
        self._refuse_if_failed()
        try:
            known = positional(statement)
            before = self._cursor.connection.total_changes
            self._cursor.execute(known.text, known.arrange(values))
            changed = self._cursor.rowcount
            # Python counts only for statements that begin with INSERT, UPDATE, DELETE or REPLACE, not with WITH
            return changed if changed >= 0 else self._cursor.connection.total_changes - before
        except Exception as error:
            raise self._fail(error) from error

    async def each(self, statement: str, rows: Sequence[Sequence[Value]]) -> list[list[Row]]:
        """See `Transaction.each`."""
        return [self._answer(statement, values) for values in rows]

    async def many(self, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        """See `Transaction.many`."""
        self._refuse_if_failed()
        if not rows:
            return
        try:
            known = positional(statement)
            self._cursor.executemany(known.text, rows if known.order is None else map(known.arrange, rows))
        except Exception as error:
            raise self._fail(error) from error

    def _answer(self, statement: str, values: Sequence[Value]) -> list[Row]:
        self._refuse_if_failed()
        try:
            known = positional(statement)
            return self._cursor.execute(known.text, known.arrange(values)).fetchall()
        except Exception as error:
            raise self._fail(error) from error

    def _refuse_if_failed(self) -> None:
        # SQLite may have rolled back everything: another statement would now commit by itself
        if self._failed is not None:
            raise self._failed

    def _fail(self, error: Exception) -> Exception:
        self._failed = trouble(error) if isinstance(error, sqlite3.Error) else error
        return self._failed


def _drive(call: Call[T], transaction: SqliteTransaction) -> T:
    """A call awaits only its transaction, which never suspends, so the first step is also the last."""
    steps = call(transaction).__await__()
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    steps.close()
    raise CallRefused("A call may await nothing but its own transaction.")

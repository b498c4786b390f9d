"""One connection that reads: a call at a time, each on one snapshot, and of one app's rows or of all.

One statement is a snapshot by itself: a call with one needs neither BEGIN nor ROLLBACK, and goes to the server once in
the place of three times. How many a call has is taken from the last by the same code. One that then asks for a second
is run again from the start, in a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from unbroken.store.contract import CallRefused, StoreError
from unbroken.store.postgres.transaction import Outcome, Running
from unbroken.store.postgres.trouble import trouble

if TYPE_CHECKING:
    from unbroken.store.contract import Call

T = TypeVar("T")

EVERY_APP: Final = b""
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SHOW: Final = "SELECT set_config('unbroken.app', $1, FALSE)"

_short: Final[set[object]] = set()
"""The code of calls that had one statement the last time."""


class Reader:
    """See the module.

    Args:
        connection: of asyncpg, on which `only_read` was done.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.shows: bytes | None = EVERY_APP

    async def read(self, call: Call[T], app_id: bytes) -> tuple[Outcome[T], Exception | None]:
        """Run `call`; a transaction may be left open. With what the server or the connection said.

        Args:
            app_id: whose rows it may see (`migrations/0006_wall`); `EVERY_APP` for all.
        """
        code = getattr(call, "__code__", type(call))
        try:
            await self._show(app_id)
            if code in _short:
                once = _Counted(self.connection, limit=1)
                told = await _run(once, call)
                if not once.is_over:
                    return told
                _short.discard(code)
            await self.connection.execute(_BEGIN)
        except Exception as error:  # noqa: BLE001 - the caller tells what it means
            return Outcome(None, trouble(error)), error
        counted = _Counted(self.connection, limit=None)
        told = await _run(counted, call)
        if counted.asked == 1:
            _short.add(code)
        return told

    async def _show(self, app_id: bytes) -> None:
        if self.shows != app_id:
            self.shows = None  # whatever becomes of the statement
            await self.connection.fetchval(_SHOW, app_id.hex())
            self.shows = app_id


async def only_read(connection: Any) -> None:
    """Let no statement outside a transaction write either.

    Not from the beginning of the session: a URL with `target_session_attrs=read-write` would take it for a standby.
    """
    await connection.execute("SET default_transaction_read_only = on")


async def _run(connection: _Counted, call: Call[T]) -> tuple[Outcome[T], Exception | None]:
    running = Running(call)
    outcome = await running.to_its_end(connection)
    if outcome.noted:
        outcome = Outcome(None, CallRefused("A read may not write."))
    return outcome, running.transaction.cause


class _Counted:
    """A connection that counts what it is asked, and answers no more than `limit` times."""

    def __init__(self, connection: Any, limit: int | None) -> None:
        self._connection = connection
        self._limit = limit
        self.asked = 0

    @property
    def is_over(self) -> bool:
        """It was asked for more than it answers."""
        return self._limit is not None and self.asked > self._limit

    def __getattr__(self, method: str) -> Any:
        self.asked += 1
        if self.is_over:
            raise _Over
        return getattr(self._connection, method)


class _Over(StoreError):
    """The call needs a transaction; whatever becomes of it now, nobody is told."""

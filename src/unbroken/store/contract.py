"""What every store promises: atomic calls, durable when they return, the same statements on every engine.

Statements are plain strings, written once for SQLite and PostgreSQL: `$1 ... $n` parameters (each may occur several
times), `RETURNING`, `ON CONFLICT`, `FOR UPDATE` where a row must stay as it was read. Instants are whole
milliseconds, ids 12 bytes, JSON bytes. A BOOLEAN reads as 0 and 1 on SQLite: take its truth, never compare it. A text
holds no U+0000, which PostgreSQL refuses; texts are ordered by their bytes in UTF-8. Numbers that the database counts
up (`{identity}`) have gaps, and become visible in their order.

A **call** is an async function that awaits nothing but its own transaction. It touches no state of the event loop and
can be run again from the start (the engine does so when a group of calls is lost); one that awaits anything else is
refused, on every engine: a call is driven step by step, and only what its transaction asks for is waited for (its one
way out is `Transaction.elsewhere`, for a payload log outside the database). On
SQLite a writing call runs in a thread; on PostgreSQL on the event loop, which turns while the server works. So: decide
inside, act on the outside world after it.

    StoreError
    ├── StoreRefused           at opening: this place cannot be a store, and what to do about it
    ├── StoreUnavailable       now: disk full, locked, read-only, I/O error, closed; the same call may succeed later
    │   └── StoreDeparted      ... elsewhere: the platform was moved to another database
    ├── ConstraintViolation    a statement contradicts a constraint
    │   └── UniqueViolation    ... a unique one: somebody else was faster
    └── CallRefused            a call broke the rules above: a mistake of the program
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from unbroken.sealing import KeyRing

Value: TypeAlias = int | float | str | bytes | bool | None
"""What a parameter may be."""

Row: TypeAlias = tuple[Any, ...]

Seal: TypeAlias = Callable[[int, bytes, bytes], bytes]
"""The hash of an entry of the audit log: of its position, the hash before it, and its content."""

T = TypeVar("T")


class StoreError(Exception):
    """Something between a call and the database."""


class StoreRefused(StoreError):
    """The store could not be opened; the message says why and what to do."""


class StoreUnavailable(StoreError):
    """The store cannot do this now; the message says what the operator can do.

    Nothing of the call stays. There is one exception, which the message names: a connection to PostgreSQL that is cut
    while a group is made durable leaves all of it or nothing, and nobody can tell which. Whoever tells the outside
    world must be able to ask, or to say the same again (`Idempotency-Key`, the ids of payloads).
    """


class StoreDeparted(StoreUnavailable):
    """The platform is not in this database, but in another one; nothing of the call stays."""


class ConstraintViolation(StoreError):
    """A statement contradicts a constraint of the database. The call is lost, whether it catches this or not.

    Args:
        message: the engine's own words.
        table: the table concerned, or "" where the engine does not say.
    """

    def __init__(self, message: str, table: str = "") -> None:
        super().__init__(message)
        self.table = table


class UniqueViolation(ConstraintViolation):
    """A row with this key is already there."""


class CallRefused(StoreError):
    """A call awaited something other than its own transaction, or used a transaction after its end."""


class Transaction(Protocol):
    """One call's view of the database.

    A statement that fails fails the whole call, even one that catches the error: on PostgreSQL nothing can follow, so
    on no engine anything does.
    """

    keys: KeyRing | None
    """What external ids are sealed under; None where the store was opened without."""
    sealing: Any
    """What this call has read of how they are (`sealed.State`), or None."""

    async def all(self, statement: str, *values: Value) -> list[Row]:
        """Every row of the answer."""
        ...

    async def one(self, statement: str, *values: Value) -> Row | None:
        """The first row of the answer, or None. The statement itself sees to it that there is one at most."""
        ...

    async def run(self, statement: str, *values: Value) -> int:
        """Run a statement without an answer; the number of rows it changed."""
        ...

    async def each(self, statement: str, rows: Sequence[Sequence[Value]]) -> list[list[Row]]:
        """Every row of the answer to a statement for each of `rows`, as if it were asked for one after the other."""
        ...

    async def many(self, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement without an answer once for each of `rows`, in their order."""
        ...

    async def hold(self, *keys: bytes, beside: bool = False) -> None:
        """Say what this call is about, before it is read: ids, or digests of what is looked for.

        Calls that hold no key in common cannot tell whether they run one after the other or side by side, where
        PostgreSQL answers one statement for many of them (docs/decisions/0020). Keys are held where they become known,
        and best before anything is written.

        Args:
            beside: said first of all, if at all: each row that this call reads or changes is found by a key that it
                holds, or is one that no such call changes (apps, policies, tombstones).
        """
        ...

    def wake(self) -> None:
        """This call leaves something to do: wake whoever waits in `Store.woken` when it is durable."""
        ...

    def audit(self, content: bytes, seal: Seal) -> None:
        """Write this down in the audit log if the call stays, in the transaction that makes it durable.

        What the calls of a group write down is chained behind what is there when all of them have run (`store.audit`),
        so it costs the group a statement, and the call none. Where it cannot be written, nothing of the group stays.
        """
        ...

    async def elsewhere(self, look: Callable[[], Awaitable[T]]) -> T:
        """Await a look at another system that holds a part of the data, as a payload log outside the database does.

        The transaction stays open meanwhile, so a short one; and whatever it changes there is not taken back. `look`
        may be run in another event loop than the one that the call came from.

        Raises:
            CallRefused: the engine's calls may not suspend: it keeps all data itself.
        """
        ...


Call: TypeAlias = Callable[[Transaction], Awaitable[T]]
"""See the module's text."""


class Store(Protocol):
    """A database, by what it promises."""

    async def write(self, call: Call[T]) -> T:
        """Run `call` in a transaction; its effect is durable when this returns.

        Calls take effect one after the other, those of all processes on the database. One that raises leaves nothing.
        It sees the calls before it, and its answer is given only if they too became durable. A waiter that is
        cancelled before the turn of its call takes the call with it; later the effect stands.

        Raises:
            StoreUnavailable: nothing of the call stays, or nobody knows (see there).
            CallRefused: the call suspended.
            Exception: whatever the call raised.
        """
        ...

    async def read(self, call: Call[T]) -> T:
        """Run `call` on one snapshot of what is durable. For point reads: on SQLite it holds up the event loop.

        Raises:
            StoreUnavailable: the database cannot be read now.
            CallRefused: the call suspended, or tried to write.
            Exception: whatever the call raised.
        """
        ...

    async def read_long(self, call: Call[T]) -> T:
        """The same as `read`, away from the event loop, for reads of more than a few hundred rows."""
        ...

    def of_app(self, app_id: bytes) -> Store:
        """The same store for one app's callers.

        Where the engine can hide rows, its reads see none of another app in the tables that name their app: a second
        wall, should a statement ever forget the app. Writes see all, as they share their transactions.
        """
        ...

    @property
    def groups_again(self) -> int:
        """Groups of calls that were taken back and run again with more care since it was opened: slow, not wrong."""
        ...

    def behind(self) -> Store:
        """The same store for work that can wait: where its writes would hold up those of callers, they come after."""
        ...

    async def woken(self) -> None:
        """Return when a call of any process on the database left something to do (`Transaction.wake`), or may have.

        A wake-up, not a promise: one may be lost, so it returns after a while anyway, and now and then for nothing.
        """
        ...

    async def purge(self, *, rewrite_up_to_bytes: int | None) -> bool:
        """Leave nothing of what calls have deleted in any file of the database (linking.md, law 10).

        On SQLite what was deleted is overwritten in its place when the call is durable; this empties the engine's own
        log, and writes anew what may hold stale copies, as the pages of an index do that was split. On PostgreSQL this
        writes every table and index into new files. Out of its reach are the server's write-ahead log, which is
        recycled as the server is set up, and archives, standbys and backups: those are the operator's to let go of.

        Args:
            rewrite_up_to_bytes: the size of a database up to which it is written anew, during which no call is
                answered (a second for about 70 MB), on PostgreSQL none that needs the table in hand; None: whatever
                its size.

        Returns:
            Whether nothing is left; where not, the database is larger.

        Raises:
            StoreUnavailable: a read that goes on for long, or another process, holds on to the past, or the disk is
                full.
        """
        ...

    async def catalogue(self) -> dict[str, list[str]]:
        """Every table of the database (on PostgreSQL: of the store's schema) with its columns, whoever made it."""
        ...

    async def count_rows(self, table: str, column: str, needle: bytes, *, is_whole: bool) -> int:
        """In how many rows a column, whatever its type, contains `needle` in the bytes of its text, or is that.

        Args:
            table: one of `catalogue`, and `column` one of its columns; looks through all of it.
            is_whole: count those that are nothing else.
        """
        ...

    async def close(self) -> None:
        """Finish the calls that wait, then let go of everything. Closing twice is harmless."""
        ...

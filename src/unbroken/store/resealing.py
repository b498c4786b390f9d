"""Resealing: every external id is put under another key, in batches, while everybody works on (docs/decisions/0025).

The tables that are searched by external id go together, app by app and in the order of the old texts: whoever reads how
far that has come knows under which key an id is. The others are gone through by their keys afterwards. A process that
is killed leaves a batch done or not begun; whoever comes next goes on, and several at once do the work of one.

What an earlier version wrote is in clear: it is sealed by the same steps, before anybody works on the database.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.sealing import KeyMissing, NotSealed, begins
from unbroken.store.contract import StoreUnavailable
from unbroken.store.sealed import IN_CLEAR, State, in_force, read, ring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.sealing import KeyRing
    from unbroken.store.contract import Row, Store, Transaction, Value

BATCH: Final = 100
"""External ids, or rows, in one transaction: a few milliseconds on SQLite, some tens on PostgreSQL."""

_REWRITE_UP_TO_BYTES: Final = 1 << 30
"""At an upgrade nobody is kept waiting but the start, some 15 s for that."""

_SEARCHED: Final = ("facts", "carriers", "auth_codes")
_BEYOND: Final = b"\xff" * 13  # every app's id is smaller
_LAST_TEXT: Final = "\U0010ffff" * 256  # every external id is smaller

_BEGIN: Final = (
    "UPDATE sealing SET key_no = $1, key_mark = $2, old_key_no = key_no, done_app = NULL, done_id = NULL"
    " WHERE only_row = 1"
)
_DONE_UP_TO: Final = "UPDATE sealing SET done_app = $1, done_id = $2 WHERE only_row = 1"
_END: Final = (
    "UPDATE sealing SET old_key_no = NULL, done_app = NULL, done_id = NULL,"
    " is_purged = NOT EXISTS (SELECT 1 FROM apps) WHERE only_row = 1"
)
_IS_PURGED: Final = "SELECT is_purged FROM sealing WHERE only_row = 1"
_PURGED: Final = "UPDATE sealing SET is_purged = TRUE WHERE only_row = 1 AND old_key_no IS NULL"
_SOILED: Final = "UPDATE sealing SET is_purged = FALSE WHERE only_row = 1 AND old_key_no IS NULL"
_NEXT_APP: Final = "SELECT app_id FROM apps WHERE app_id > $1 ORDER BY app_id LIMIT 1"
_TEXTS: Final = (
    "SELECT DISTINCT sealed_id FROM {table} WHERE app_id = $1 AND sealed_id > $2 AND sealed_id < $3"
    " ORDER BY sealed_id LIMIT $4"
)
_ELSEWHERE: Final = (
    "SELECT {owner}, {column} FROM {table} WHERE length({column}) > 0 AND substr({column}, 1, $2) <> $1 LIMIT $3"
)
_PUT: Final = "UPDATE {table} SET sealed_id = $3 WHERE app_id = $1 AND sealed_id = $2"
_UNLESS_THERE: Final = " AND NOT EXISTS (SELECT 1 FROM carriers WHERE app_id = $1 AND sealed_id = $3)"
"""No row can be, but a damaged one would be in the way of all others for ever."""


@dataclass(frozen=True, slots=True)
class _Swept:
    """A table that is gone through by its key.

    Args:
        owner: the column that an id or a document is sealed for.
    """

    name: str
    key: tuple[str, ...]
    owner: str
    column: str

    @property
    def elsewhere(self) -> str:
        """Some rows that hold something which begins otherwise."""
        return _ELSEWHERE.format(table=self.name, owner=self.owner, column=self.column)

    @property
    def page(self) -> str:
        """The rows that hold something, behind a key."""
        columns = ", ".join((*self.key, self.owner, self.column))
        return f"SELECT {columns} FROM {self.name} WHERE {self.column} IS NOT NULL"

    @property
    def put(self) -> str:
        """Set the column of one row."""
        where = " AND ".join(f"{column} = ${place}" for place, column in enumerate(self.key, 2))
        return f"UPDATE {self.name} SET {self.column} = $1 WHERE {where}"


_SWEPT: Final = (
    _Swept("installs", ("install_id",), "app_id", "sealed_id"),
    _Swept("installs", ("install_id",), "install_id", "credential_key"),
    _Swept("spent_credentials", ("digest",), "install_id", "spent_key"),
    _Swept("users", ("user_id",), "app_id", "sealed_id"),
    _Swept("idempotency", ("caller", "idempotency_key"), "caller", "reply"),
)
_EVERY: Final = (*(_Swept(table, (), "app_id", "sealed_id") for table in _SEARCHED), *_SWEPT)


# The whole


async def seal_all(store: Store) -> None:
    """Seal what is in clear, where an earlier version wrote to the database; otherwise only a look at it.

    Raises:
        StoreUnavailable: it cannot be written to now, or is sealed under a key that is not here.
    """
    if not await store.read(_is_in_clear):
        return
    await store.write(lambda tx: begin(tx, ring(tx).newest))
    await go_on(store)
    if not await store.read(is_purged):
        with suppress(StoreUnavailable):  # then as after an erasure: by the worker, or `unbroken purge`
            if await store.purge(rewrite_up_to_bytes=_REWRITE_UP_TO_BYTES):
                await store.write(set_purged)


async def _is_in_clear(tx: Transaction) -> bool:
    state = await read(tx)
    if IN_CLEAR in {state.key_no, state.old_key_no}:
        return True
    await in_force(tx)
    return False


async def begin(tx: Transaction, number: int) -> bool:
    """Let another key take the place of the present one; False where one does already."""
    state = await read(tx)
    if state.old_key_no is not None or state.key_no == number:
        return False
    await tx.run(_BEGIN, number, ring(tx).mark(number))
    return True


async def go_on(
    store: Store,
    rest: Callable[[], Awaitable[None]] | None = None,
    note: Callable[[Transaction, int], None] | None = None,
) -> int:
    """Do what is left to do; of the rotation that is under way now, not of one that begins after another has ended it.

    Args:
        rest: awaited between two transactions.
        note: called with the key's number in the transaction that ends it.

    Returns:
        How many texts were sealed anew.
    """
    number = (await store.write(read)).key_no
    count = 0
    while (done := await store.write(_next_batch)) is not None:
        count += done
        if rest is not None:
            await rest()
    for table in _SWEPT:
        count += await _sweep(store, table, number, rest)
    await store.write(lambda tx: _end(tx, number, note))
    return count


async def _end(tx: Transaction, number: int, note: Callable[[Transaction, int], None] | None) -> None:
    state = await read(tx)
    if (state.key_no, state.done_app) == (number, _BEYOND):
        await tx.run(_END)
        if note is not None:
            note(tx, number)


async def not_needed(tx: Transaction) -> int | None:
    """The number of the key in force, if every earlier one opens nothing any more; None if one may."""
    state = await in_force(tx)
    if state.old_key_no is not None:
        return None
    begin = begins(state.key_no)
    for table in _EVERY:
        wanted = begin.encode() if table.column == "reply" else begin
        rows = await tx.all(table.elsewhere, wanted, len(begin), BATCH)
        if len(rows) == BATCH or any(_row_anew(ring(tx), state, table, row) is not None for row in rows):
            return None  # of rows that no key opens, and no key could help, there are few
    return state.key_no


async def is_purged(tx: Transaction) -> bool:
    """Whether no file of the database holds what was sealed under another key, or in clear (`Store.purge`)."""
    row = await tx.one(_IS_PURGED)
    return bool(row and row[0])


async def set_purged(tx: Transaction) -> None:
    """The files were purged."""
    await tx.run(_PURGED)


async def soil(tx: Transaction) -> None:
    """The files were filled anew, and may hold what was sealed under another key: they are to be purged."""
    await tx.run(_SOILED)


# What is searched


async def _next_batch(tx: Transaction) -> int | None:
    """Seal some ids anew; None where all are."""
    state = await in_force(tx)
    if state.old_key_no is None or state.done_app == _BEYOND:
        return None
    texts = await _texts(tx, state)
    if not texts:
        row = await tx.one(_NEXT_APP, state.done_app)
        await tx.run(_DONE_UP_TO, _BEYOND if row is None else row[0], None)
        return 0
    anew = [(text, _anew(ring(tx), state, state.done_app, text)) for text in texts]
    rows = [(state.done_app, text, new) for text, new in anew if new is not None]
    for table in _SEARCHED:
        await tx.many(_PUT.format(table=table) + (_UNLESS_THERE if table == "carriers" else ""), rows)
    await tx.run(_DONE_UP_TO, state.done_app, texts[-1])
    return len(rows)


async def _texts(tx: Transaction, state: State) -> list[str]:
    first, last = _range(state.old_key_no or IN_CLEAR)
    found: set[str] = set()
    for table in _SEARCHED if state.done_app else ():
        after = max(state.done_id, first)
        found |= {row[0] for row in await tx.all(_TEXTS.format(table=table), state.done_app, after, last, BATCH)}
    return sorted(found)[:BATCH]  # by code points, which is the order of the bytes in UTF-8


def _range(number: int) -> tuple[str, str]:
    """What is smaller, and what is greater, than every text under a key."""
    return ("", _LAST_TEXT) if number == IN_CLEAR else (begins(number), begins(number)[:-1] + "/")


# What is not


async def _sweep(store: Store, table: _Swept, number: int, rest: Callable[[], Awaitable[None]] | None) -> int:
    after: tuple[Value, ...] | None = ()
    count = 0
    while after is not None:
        done, after = await store.write(_page(table, number, after))
        count += done
        if rest is not None:
            await rest()
    return count


def _page(
    table: _Swept, number: int, after: tuple[Value, ...]
) -> Callable[[Transaction], Awaitable[tuple[int, tuple[Value, ...] | None]]]:
    """Seal some rows of a table anew; how many were, and the key to go on from."""
    width = len(table.key)
    places = ", ".join(f"${place}" for place in range(1, len(after) + 1))
    behind = f" AND ({', '.join(table.key)}) > ({places})" if after else ""
    statement = f"{table.page}{behind} ORDER BY {', '.join(table.key)} LIMIT {BATCH}"

    async def page(tx: Transaction) -> tuple[int, tuple[Value, ...] | None]:
        state = await in_force(tx)
        if state.old_key_no is None or state.key_no != number:  # another process has done it all
            return 0, None
        rows = await tx.all(statement, *after)
        anew = [(_row_anew(ring(tx), state, table, row), row[:width]) for row in rows]
        changed = [(new, *key) for new, key in anew if new is not None]
        await tx.many(table.put, changed)
        return len(changed), tuple(rows[-1][:width]) if len(rows) == BATCH else None

    return page


def _row_anew(keys: KeyRing, state: State, table: _Swept, row: Row) -> str | bytes | None:
    owner, content = bytes(row[-2]), row[-1]
    if table.column == "reply":
        return _body_anew(keys, state, owner, bytes(content))
    return _anew(keys, state, owner, content)


def _anew(keys: KeyRing, state: State, app_id: bytes, text: str) -> str | None:
    """A text under the new key; None where it is under that already, or cannot be opened."""
    if not isinstance(text, str) or (text.startswith(begins(state.key_no)) and state.old_key_no != IN_CLEAR):
        return None
    try:
        plain = keys.open(app_id, text)
    except (NotSealed, KeyMissing):
        return keys.seal(state.key_no, app_id, text) if state.old_key_no == IN_CLEAR else None
    return None if state.old_key_no == IN_CLEAR else keys.seal(state.key_no, app_id, plain)


def _body_anew(keys: KeyRing, state: State, owner: bytes, body: bytes) -> bytes | None:
    if not body or body.startswith(begins(state.key_no).encode()):
        return None
    try:
        plain = body if body.startswith(b"{") else keys.open_body(owner, body)
    except (NotSealed, KeyMissing):
        return None
    return keys.seal_body(state.key_no, owner, plain)

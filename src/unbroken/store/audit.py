"""The audit log as rows: entries that are chained by keyed hashes, each of which holds the one before it.

Positions count from 1 without a gap. An engine chains what the calls of a group have written down (`Transaction.audit`)
when they have run, so that nobody waits for anybody: whoever writes has the whole database to himself anyway. The key
is the caller's; the database never sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.store.contract import Seal  # noqa: TC001 - a NamedTuple's

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unbroken.store.contract import Transaction


class Noted(NamedTuple):
    """What a call has written down, before it has a place."""

    content: bytes
    seal: Seal


class Head(NamedTuple):
    """Where the log ends; its position is the number of its entries."""

    position: int
    hash: bytes


class Entry(NamedTuple):
    """A row."""

    position: int
    content: bytes
    hash: bytes


EMPTY: Final = Head(0, bytes(32))
"""Where a log ends that has no entry yet."""

LAST: Final = "SELECT position, hash FROM audit ORDER BY position DESC LIMIT 1"
ADD: Final = "INSERT INTO audit (position, content, hash) VALUES ($1, $2, $3)"
_AFTER: Final = "SELECT position, content, hash FROM audit WHERE position > $1 ORDER BY position LIMIT $2"
_BEFORE: Final = "SELECT position, content, hash FROM audit WHERE position < $1 ORDER BY position DESC LIMIT $2"


def chained(head: Head, noted: Iterable[Noted]) -> Iterator[Entry]:
    """What was written down, as entries behind `head`."""
    for content, seal in noted:
        head = Head(head.position + 1, seal(head.position + 1, head.hash, content))
        yield Entry(head.position, content, head.hash)


async def head(tx: Transaction) -> Head:
    """Where the log ends."""
    row = await tx.one(LAST)
    return EMPTY if row is None else Head(row[0], bytes(row[1]))


async def entries_after(tx: Transaction, position: int, limit: int) -> list[Entry]:
    """Some entries behind a position, oldest first."""
    return [_entry(row) for row in await tx.all(_AFTER, position, limit)]


async def entries_before(tx: Transaction, position: int, limit: int) -> list[Entry]:
    """Some entries before a position, newest first."""
    return [_entry(row) for row in await tx.all(_BEFORE, position, limit)]


def _entry(row: tuple[object, ...]) -> Entry:
    position, content, hash_ = row
    assert isinstance(position, int)
    assert isinstance(content, bytes)
    assert isinstance(hash_, bytes)
    return Entry(position, content, hash_)

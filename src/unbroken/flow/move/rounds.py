"""Rounds: each makes the target's tables the same as the source's once, page by page.

Beside writers a round can meet what the target's constraints forbid: two rows of different moments. What is refused
is left to the next round. In the last round nobody writes, and it goes in two steps: first everything goes away in
which the target differs, then what lacks is added. In between the target holds nothing but rows of the source, so
every constraint that holds there holds here.
"""

from __future__ import annotations

from asyncio import gather
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from unbroken.flow.move.differences import ROWS_FIRST, Checksum, Difference, common_end, difference, next_limit, up_to
from unbroken.store.contract import ConstraintViolation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from unbroken.store.contract import Row
    from unbroken.store.table_rows import Key


class Rows(Protocol):
    """A table on one side."""

    @property
    def width(self) -> int:
        """How many columns in front of a row are its key."""
        ...

    async def between(self, after: Key | None, until: Key | None, limit: int | None = None) -> list[Row]:
        """See `table_rows.between`; one snapshot."""
        ...


class Filled(Rows, Protocol):
    """A table that is made the same as another."""

    async def change(self, difference: Difference) -> None:
        """Take away, then add, in one transaction.

        Raises:
            ConstraintViolation: nothing of it was done.
        """
        ...


@dataclass(slots=True)
class Count:
    """What a round did with one table.

    Args:
        looked: rows of the source that it looked at.
        added: rows that it brought to the target.
        away: rows that it took from the target.
        left: rows that must wait for the next round.
    """

    looked: int = 0
    added: int = 0
    away: int = 0
    left: int = 0

    @property
    def changed(self) -> int:
        """Rows that differed."""
        return max(self.added + self.left, self.away)


@dataclass(slots=True)
class Sums:
    """What the last round has read of a table, on both sides."""

    source: Checksum = field(default_factory=Checksum)
    target: Checksum = field(default_factory=Checksum)

    @property
    def are_same(self) -> bool:
        """Whether both hold the same rows."""
        return (self.source.rows, self.source.text) == (self.target.rows, self.target.text)


@dataclass(frozen=True, slots=True)
class Page:
    """A range of keys, with what each side has in it.

    Args:
        after: behind which key it begins; None: at the first.
        until: with which key it ends; None: behind the last.
    """

    after: Key | None
    until: Key | None
    source: list[Row]
    target: list[Row]


async def pages(source: Rows, target: Rows, tell: Callable[[int], None]) -> AsyncIterator[Page]:
    """The whole of a table on both sides; `tell` hears how many rows of the source were read more."""
    after, limit, width = None, ROWS_FIRST, source.width
    while True:
        ours, theirs = await gather(source.between(after, None, limit), target.between(after, None, limit))
        until = common_end(ours, theirs, limit, width)
        page = Page(after, until, up_to(ours, until, width), up_to(theirs, until, width))
        tell(len(page.source))
        yield page
        if until is None:
            return
        after, limit = until, next_limit(limit, max(ours, theirs, key=len))


async def beside_writers(source: Rows, target: Filled, tell: Callable[[int], None]) -> Count:
    """One round of one table while others write to the source."""
    count = Count()
    async for page in pages(source, target, tell):
        found = difference(page.source, page.target, source.width)
        count.looked += len(page.source)
        if found:
            await _change_if_allowed(target, found, count)
    return count


async def _change_if_allowed(target: Filled, found: Difference, count: Count) -> None:
    count.away += len(found.away)
    try:
        await target.change(found)
        count.added += len(found.lacking)
    except ConstraintViolation:
        await target.change(Difference(found.away, []))
        count.left += len(found.lacking)


async def without_writers(source: Rows, target: Filled, tell: Callable[[int], None]) -> tuple[Count, Sums]:
    """The last round of one table; the sums are of what was read when nothing was to be changed any more."""
    count, sums = Count(), Sums()
    lacking: list[tuple[Key | None, Key | None]] = []
    async for page in pages(source, target, tell):
        found = difference(page.source, page.target, source.width)
        count.looked += len(page.source)
        if found.away:
            await target.change(Difference(found.away, []))
            count.away += len(found.away)
        if found:
            lacking.append((page.after, page.until))
        else:
            _add(sums, page.source, page.target)
    for after, until in lacking:
        count.added += await _add_what_lacks(source, target, after, until)
        _add(sums, *await gather(source.between(after, until), target.between(after, until)))
    return count, sums


async def _add_what_lacks(source: Rows, target: Filled, after: Key | None, until: Key | None) -> int:
    rows, there = await gather(source.between(after, until), target.between(after, until))
    found = difference(rows, there, source.width)
    if found:
        await target.change(found)
    return len(found.lacking)


def _add(sums: Sums, source: Sequence[Row], target: Sequence[Row]) -> None:
    sums.source.add(source)
    sums.target.add(target)

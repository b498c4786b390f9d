"""What two tables differ in, a range of keys at a time: pure, and the same on every engine."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Row
    from unbroken.store.table_rows import Key

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_CHECKSUM_BITS: Final = 256

PAGE_BYTES: Final = 4 << 20
"""What a page should hold: enough to make a trip worth it, little enough for the memory of a small machine."""

ROWS_FIRST: Final = 64
ROWS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """What makes one range of the target the same as that of the source.

    Args:
        away: keys of the target's rows that the source has not, or not like that.
        lacking: the source's rows that the target has not, or not like that.
    """

    away: list[Key]
    lacking: list[Row]

    def __bool__(self) -> bool:
        return bool(self.away or self.lacking)


def difference(source: Sequence[Row], target: Sequence[Row], width: int) -> Difference:
    """Compare the rows of one range.

    Args:
        source: rows with different keys.
        target: likewise.
        width: so many columns in front of a row are its key.
    """
    if source == target:
        return Difference([], [])
    ours, theirs = ({row[:width]: row for row in rows} for rows in (source, target))
    return Difference(
        away=[key for key, row in theirs.items() if ours.get(key) != row],
        lacking=[row for key, row in ours.items() if theirs.get(key) != row],
    )


def common_end(source: Sequence[Row], target: Sequence[Row], limit: int, width: int) -> Key | None:
    """Up to which key two pages that begin behind the same key both know everything; None: to the end.

    Args:
        source: rows in order of their keys, `limit` of them where there may be more.
        target: likewise.
    """
    return min((rows[-1][:width] for rows in (source, target) if len(rows) == limit), default=None)


def up_to(rows: Sequence[Row], end: Key | None, width: int) -> list[Row]:
    """Those of a page up to a key and with it; keys are ordered here as the engines order them."""
    return [row for row in rows if end is None or row[:width] <= end]


@dataclass(slots=True)
class Checksum:
    """The sum of the SHA-256 of each row: of what a table holds, in whichever order and in whichever pages.

    A row is encoded as MessagePack, in which every value has one form.
    """

    rows: int = 0
    total: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Count rows in."""
        for row in rows:
            self.total += int.from_bytes(sha256(_ENCODE(row)).digest(), "big")
        self.rows += len(rows)

    @property
    def text(self) -> str:
        """64 hex characters."""
        return f"{self.total % (1 << _CHECKSUM_BITS):064x}"


def next_limit(limit: int, rows: Sequence[Row]) -> int:
    """How many rows the page after `rows` should have, of which `limit` were asked for."""
    size = sum(_size(row) for row in rows)
    fitting = PAGE_BYTES * len(rows) // size if size else ROWS_MAX
    return max(1, min(fitting, 4 * limit, ROWS_MAX))


def _size(row: Sequence[Any]) -> int:
    return sum(len(value) if isinstance(value, bytes | str) else 8 for value in row)


SMALL: Final = 500
"""Rows that are copied in a moment: with so few left, standing still is about comparing, not about copying."""

ROUNDS_MAX: Final = 20


def is_another_worth_it(changed: Sequence[int]) -> bool:
    """Whether another round beside the writers would leave less for the last one.

    Args:
        changed: how many rows each round so far has changed, at least one.
    """
    if changed[-1] <= SMALL or len(changed) >= ROUNDS_MAX:
        return False
    return len(changed) < 2 or changed[-1] <= changed[-2] * 3 // 4

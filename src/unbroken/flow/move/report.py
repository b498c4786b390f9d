"""What a move tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Progress(Protocol):
    """Is told how far it is."""

    def __call__(self, step: str, table: str, rows: int) -> None:
        """So many rows of this table were looked at in this step."""
        ...


@dataclass(slots=True)
class Counted:
    """Adds up what was looked at in one table, and tells it."""

    tell: Progress
    step: str
    table: str
    rows: int = 0

    def __call__(self, rows: int) -> None:
        """So many rows were looked at more."""
        self.rows += rows
        self.tell(self.step, self.table, self.rows)


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table, as the last round has read it on both sides.

    Args:
        checksum: see `differences.Checksum`; "" in a dry run.
    """

    name: str
    rows: int
    checksum: str = ""


@dataclass(slots=True)
class Report:
    """What was done.

    Args:
        source: where the platform was, without a password.
        target: where it is now.
        was_done: an earlier run had ended the move already: nothing was done.
        is_dry: nothing was done, as that was wanted.
        rounds: how many rows each round beside the writers has changed.
        last: how many rows the last round has changed, in which nobody wrote.
        stood_still_s: how long nobody could write, in seconds.
        is_to_purge: somebody was erased meanwhile, or external ids came under another key, so the target's files are to
            be purged (`Store.purge`).
    """

    source: str
    target: str
    was_done: bool = False
    is_dry: bool = False
    rounds: list[int] = field(default_factory=list)
    last: int = 0
    stood_still_s: float = 0.0
    is_to_purge: bool = False
    tables: Sequence[TableReport] = ()

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(table.rows for table in self.tables)

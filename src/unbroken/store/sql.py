"""One text for every database: how a statement written with `$n` parameters is said to each.

SQLite knows `$1` only as a name, and Python warns where a name meets a sequence (from 3.12; an error from 3.14). So
each parameter becomes a plain `?`, and the values are put into the order in which the parameters occur. PostgreSQL
takes `$1` as it is. `FOR UPDATE` goes on both: writing transactions are serial, so every row stays as it was read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from unbroken.store.contract import CallRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.store.contract import Value

_TOKEN: Final = re.compile(
    r"""
      (?P<literal> '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* )
    | \$(?P<parameter> [0-9]+ )
    | (?P<lock> \s* \b FOR \s+ UPDATE \b (?: \s+ OF \s+ \w+ )? (?: \s+ (?: SKIP \s+ LOCKED | NOWAIT ) \b )? )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_READS: Final = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_CHANGES: Final = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_ENDS_TRANSACTION: Final = re.compile(r"\s*(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Positional:
    """A statement with plain `?` parameters.

    Args:
        text: what SQLite is told.
        count: how many values the statement takes.
        order: which value each `?` stands for, from 0; None where that is simply the first, the second, ...
    """

    text: str
    count: int
    order: tuple[int, ...] | None

    def arrange(self, values: Sequence[Value]) -> Sequence[Value]:
        """The values in the order of the `?`.

        Raises:
            ValueError: there are not `count` values.
        """
        _refuse_other_count(self.text, self.count, values)
        return values if self.order is None else [values[place] for place in self.order]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A statement with `$n` parameters.

    Args:
        text: what PostgreSQL is told.
        count: how many values the statement takes.
        only_reads: it is a plain SELECT, which leaves nothing that would have to be taken back.
        only_changes: it is a plain INSERT, UPDATE or DELETE: every row that its answer tells of was changed.
    """

    text: str
    count: int
    only_reads: bool
    only_changes: bool

    def refuse_unless_fitting(self, values: Sequence[Value]) -> None:
        """Let `count` values pass.

        Raises:
            ValueError: there are not `count` values.
        """
        _refuse_other_count(self.text, self.count, values)


def _refuse_other_count(text: str, count: int, values: Sequence[Value]) -> None:
    if len(values) != count:
        raise ValueError(f"The statement takes {count} values, {len(values)} were given: {text}")


@lru_cache(maxsize=4096)  # statements are written, not made; the bound only guards against one that is
def positional(statement: str) -> Positional:
    """Rewrite `statement` for SQLite; once, as the answer is kept.

    Raises:
        ValueError: the parameters are not `$1` to `$n` with none left out.
        CallRefused: it would begin or end a transaction, which is the engine's business.
    """
    text, order = _said(statement, lambda _: "?")
    count = _count(statement, order)
    return Positional(text, count, None if order == list(range(count)) else tuple(order))


@lru_cache(maxsize=4096)
def numbered(statement: str) -> Numbered:
    """Rewrite `statement` for PostgreSQL; once, as the answer is kept.

    Raises:
        ValueError: the parameters are not `$1` to `$n` with none left out.
        CallRefused: it would begin or end a transaction, which is the engine's business.
    """
    text, order = _said(statement, "${}".format)
    return Numbered(
        text, _count(statement, order), _READS.match(statement) is not None, _CHANGES.match(statement) is not None
    )


def renamed(statement: str, name: Callable[[int], str]) -> str:
    """`statement` with a name in the place of each parameter, which is numbered from 1."""
    return _said(statement, name)[0]


def _said(statement: str, name: Callable[[int], str]) -> tuple[str, list[int]]:
    """The statement without locks, each parameter by its `name`; which value each stands for, from 0."""
    if _ENDS_TRANSACTION.match(statement):
        raise CallRefused(f"A call may not begin or end a transaction: {statement}")
    order: list[int] = []

    def say(token: re.Match[str]) -> str:
        if token["literal"] is not None:
            return token["literal"]
        if token["lock"] is not None:
            return ""
        number = int(token["parameter"])
        order.append(number - 1)
        return name(number)

    return _TOKEN.sub(say, statement), order


def _count(statement: str, order: Sequence[int]) -> int:
    count = max(order, default=-1) + 1
    if set(order) != set(range(count)):
        raise ValueError(f"The parameters must be $1 to ${count} with none left out: {statement}")
    return count

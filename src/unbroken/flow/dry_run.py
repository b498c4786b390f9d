"""Dry run: the same code path as the real call, in a transaction that is rolled back with the answer in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from msgspec import Struct

T = TypeVar("T", bound="Struct")


class DryRun(Exception):
    """Ends a transaction that is not to stay, and carries its answer out."""

    def __init__(self, answer: Struct) -> None:
        super().__init__("a dry run")
        self._answer = answer

    def answer_as(self, type_: type[T]) -> T:
        """The answer, marked as that of a dry run."""
        assert isinstance(self._answer, type_)
        marked: Any = msgspec.structs.replace(self._answer, dry_run=True)
        return marked  # type: ignore[no-any-return]


def unless_dry(answer: T, *, dry_run: bool) -> T:
    """The answer of a real call.

    Raises:
        DryRun: with the answer, where it was to be tried only.
    """
    if dry_run:
        raise DryRun(answer)
    return answer

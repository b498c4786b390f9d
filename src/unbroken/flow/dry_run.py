"""Dry run: the same code path as the real call, in a transaction that is rolled back with the answer in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from unbroken.flow.repeat import once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Struct

    from unbroken.domain.ids import UserId
    from unbroken.flow.context import Context
    from unbroken.flow.repeat import Repeatable
    from unbroken.store.contract import Transaction

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


async def once_or_tried(
    context: Context,
    same: Repeatable | None,
    reply: type[T],
    call: Callable[[Transaction], Awaitable[tuple[T, UserId | None]]],
    *,
    dry_run: bool,
    beside: bool = False,
) -> T:
    """The answer of `call`: made once for each `same` (see `once`), or tried, which is no call to be repeated.

    Raises:
        Refusal: as `once`.
    """

    async def attempt(tx: Transaction) -> T:
        raise DryRun((await call(tx))[0])

    if not dry_run:
        return await once(context, same, reply, call, beside=beside)
    try:
        return await context.store.write(attempt)
    except DryRun as dry:
        return dry.answer_as(reply)

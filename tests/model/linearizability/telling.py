"""Telling: a history that cannot be explained, cut down to what contradicts itself, and written for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.model.linearizability.checker import Undecided, check
from tests.model.linearizability.operations import READS, in_order, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.model.linearizability.operations import Operation

_STEPS_MAX: Final = 4_000
_NOTHING_LEFT: Final = "Nothing contradicts itself."


def shortest_prefix(history: Iterable[Operation]) -> list[Operation]:
    """The history up to the first return after which it cannot be explained, knowing nothing of what came later.

    What is right at an instant was right at every earlier one, so that the instant is found by halving.
    """
    operations = in_order(history)
    returns = sorted(operation.returned_ns for operation in operations if operation.returned_ns is not None)
    right, wrong = 0, len(returns) - 1
    while right < wrong:
        middle = (right + wrong) // 2
        if check(until(operations, returns[middle])).is_linearizable:
            right = middle + 1
        else:
            wrong = middle
    return until(operations, returns[wrong])


def contradiction(history: Iterable[Operation]) -> list[Operation]:
    """What is left of a rejected history when every read and every answer that is not needed to reject it is dropped.

    Both make a history easier to explain, so what is left was impossible from the start. A registration is kept: other
    operations speak of its install.
    """
    left = list(check(history).part)
    for operation in list(left):
        if operation.kind == "register" or operation.answer is None:
            continue
        without = [one for one in left if one is not operation]
        weaker = without if operation.kind in READS else in_order([*without, operation.forgotten()])
        if _is_rejected(weaker):
            left = weaker
    return [operation for operation in left if operation.answer is not None or _is_near(operation, left)]


def _is_rejected(history: list[Operation]) -> bool:
    try:
        return not check(history, _STEPS_MAX).is_linearizable
    except Undecided:
        return False


def _is_near(unknown: Operation, left: list[Operation]) -> bool:
    """Whether an unanswered operation speaks of what an answered one does; the others are left out of the telling."""
    answered = [one.names for one in left if one.answer is not None and one.kind != "register"]
    return any(unknown.names & names for names in answered)


def tell(history: Iterable[Operation]) -> str:
    """The contradiction as a table: who called when, until when, what, and what it was told."""
    operations = in_order(history)
    if not operations:
        return _NOTHING_LEFT
    begin = operations[0].invoked_ns
    lines = ["  from ms     to ms  process  call", *[_line(operation, begin) for operation in operations]]
    return "\n".join(lines)


def _line(operation: Operation, begin_ns: int) -> str:
    end = "?" if operation.returned_ns is None else f"{(operation.returned_ns - begin_ns) / 1e6:.3f}"
    asked = " ".join(f"{name}={value}" for name, value in operation.asked.items())
    answer = "no answer: it may have happened or not" if operation.answer is None else str(operation.answer)
    begin = (operation.invoked_ns - begin_ns) / 1e6
    return f"{begin:9.3f} {end:>9}  {operation.process:7}  {operation.kind} {asked} -> {answer}"


def explanation(history: Iterable[Operation]) -> str:
    """Why a rejected history was rejected."""
    prefix = shortest_prefix(check(history).part)
    at_fault = check(prefix).at_fault
    number = None if at_fault is None else at_fault.number
    return (
        f"Not linearizable after {len(prefix)} operations, at the return of operation {number}. No order of these "
        f"explains their answers:\n{tell(contradiction(prefix))}"
    )

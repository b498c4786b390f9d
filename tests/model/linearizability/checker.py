"""The checker: can the calls of a history have happened one after another, each at an instant while it was under way?

The search goes through the history's instants in order and keeps every configuration that explains it so far: a state,
and which of the calls under way have had their effect already. A call is given its effect as late as may be: when its
reply comes, or when a call that replies has to come after it. This is the just-in-time linearization of Lowe, "Testing
for linearizability" (2017), over the search of Wing and Gong, "Testing and verifying concurrent objects" (1993).
Histories of things that have nothing in common are judged apart (Herlihy and Wing, "Linearizability", 1990: it is
local).

Three things keep the configurations few, and lose no explanation. A call whose answer holds already and that changes
nothing takes place at once. A call that has nothing in common with the returning one, not even through others, waits.
And of two configurations in the same state, the one that has used up more of the calls whose outcome is unknown is
dropped: those may as well never happen.

Where they are too many all the same, a second search follows a few of them only. It can accept a history, as one order
is all that is asked for, and never reject one.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.model.linearizability.operations import READS, in_order
from tests.model.linearizability.specification import NOTHING, State, holds, steps, touched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.model.linearizability.operations import Operation

STEPS_MAX: Final = 400_000
_NARROW: Final = 200
"""Explanations of a reply that are followed, where all are too many: one that gets to the end is as good as another."""


class Undecided(Exception):
    """The search was given up: the history has too many explanations to try; nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about one history.

    Args:
        at_fault: the operation whose reply no explanation is left for; None if the history is linearizable.
        part: the operations that it was judged among.
        steps: how many times the specification was asked.
    """

    at_fault: Operation | None
    part: Sequence[Operation]
    steps: int

    @property
    def is_linearizable(self) -> bool:
        return self.at_fault is None


def check(history: Iterable[Operation], steps_max: int = STEPS_MAX) -> Verdict:
    """Judge a history; the verdict is on the first part of it that cannot be explained.

    Args:
        history: in any order.
        steps_max: of each part.

    Raises:
        Undecided: a part needs more steps.
    """
    steps_done = 0
    for part in parts(history):
        at_fault, steps = _judge(part, steps_max)
        steps_done += steps
        if at_fault is not None:
            return Verdict(at_fault, part, steps_done)
    return Verdict(None, [], steps_done)


def _judge(part: Sequence[Operation], steps_max: int) -> tuple[Operation | None, int]:
    search = _Search(part, steps_max)
    try:
        return search.run(), search.steps
    except Undecided:
        narrow = _Search(part, steps_max, width=_NARROW)
        if narrow.run() is not None:  # of the explanations that it followed none goes on; another one may
            raise
        return None, search.steps + narrow.steps


def parts(history: Iterable[Operation]) -> list[list[Operation]]:
    """The operations that have an install, an account, a user or a link in common, directly or through others."""
    together: list[tuple[set[str], list[Operation]]] = []
    for operation in in_order(history):
        names, members = set(operation.names), [operation]
        apart = []
        for other_names, others in together:
            if names & other_names:
                names, members = names | other_names, others + members
            else:
                apart.append((other_names, others))
        together = [*apart, (names, members)]
    return [in_order(members) for _, members in together]


class Configuration(NamedTuple):
    """A state, and the numbers of the calls under way that have had their effect."""

    state: State
    done: frozenset[int]


class _Search:
    """One search through a part; a narrow one follows some explanations of each reply, `width` of them, not all."""

    def __init__(self, part: Sequence[Operation], steps_max: int, *, width: int | None = None) -> None:
        self.steps = 0
        self._width = width
        self._steps_max = steps_max
        self._part = _without_lone_keys([operation for operation in part if not _says_nothing(operation)])
        self._open: dict[int, Operation] = {}
        self._alike: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)  # those without an answer

    def run(self) -> Operation | None:
        """The first operation whose return cannot be explained."""
        found = {Configuration(NOTHING, frozenset())}
        for _, is_return, _, operation in sorted(self._instants(), key=lambda instant: instant[:3]):
            if not is_return:
                self._open[operation.number] = operation
                if operation.answer is None:
                    asked = (operation.kind, *sorted(operation.asked.items()))
                    self._alike[asked].append(operation.number)
                found = {self._settled(one) for one in found}
                continue
            found = self._returned(found, operation)
            if not found:
                return operation
            del self._open[operation.number]
        return None

    def _instants(self) -> Iterator[tuple[int, bool, int, Operation]]:
        """Invocations and returns; of those at one instant the invocations come first, as they may have overlapped."""
        for operation in self._part:
            yield operation.invoked_ns, False, operation.number, operation
            if operation.returned_ns is not None:
                yield operation.returned_ns, True, operation.number, operation

    def _returned(self, found: set[Configuration], operation: Operation) -> set[Configuration]:
        """Those that go on after the operation's return, which then is no longer of interest."""
        explained, seen, to_try = set(), set(found), deque(sorted(found, key=lambda one: len(one.done)))
        while to_try and len(explained) != self._width:
            one = to_try.popleft()
            if operation.number in one.done:
                explained.add(Configuration(one.state, one.done - {operation.number}))
                continue
            for after in self._after_one_more(one, operation):
                if after not in seen:
                    seen.add(after)
                    to_try.append(after)
        return self._least(explained)

    def _after_one_more(self, one: Configuration, returning: Operation) -> Iterator[Configuration]:
        """Every configuration in which one more call under way has had an effect that the returning one may need."""
        for operation in self._near(one, returning):
            for state in self._steps(one.state, operation):
                if state != one.state:
                    yield self._settled(Configuration(state, one.done | {operation.number}))

    def _near(self, one: Configuration, returning: Operation) -> list[Operation]:
        """The calls to be done that have something in common with the returning one, directly or through others."""
        waiting = [operation for number, operation in self._open.items() if number not in one.done]
        touched_by = {operation.number: touched(one.state, operation) for operation in waiting}
        names, near = touched_by[returning.number], [returning]
        waiting.remove(returning)
        while names is not None:
            more = [other for other in waiting if (its := touched_by[other.number]) is None or its & names]
            if not more:
                return near
            near += more
            waiting = [other for other in waiting if other not in more]
            its_names = [touched_by[other.number] for other in more]
            names = None if None in its_names else names.union(*[its for its in its_names if its is not None])
        return near + waiting

    def _settled(self, one: Configuration) -> Configuration:
        """With every call done whose answer holds in this state and that changes nothing."""
        idle = {
            number
            for number, operation in self._open.items()
            if number not in one.done and operation.answer is not None and self._holds(one.state, operation)
        }
        return Configuration(one.state, self._spent(one.state, one.done | idle))

    def _spent(self, state: State, done: frozenset[int]) -> frozenset[int]:
        """The calls that are done, said in one way only where it makes no difference which of them are.

        Of calls without an answer that ask the same, some number are done; and once their key has an answer, none of
        them has an effect any more.
        """
        kept = {key for key, _ in state.kept}
        left = set(done)
        for alike in self._alike.values():
            used = left.intersection(alike)
            if used:
                left -= used
                left.update([] if self._open[alike[0]].key in kept else sorted(alike)[: len(used)])
        return frozenset(left)

    def _least(self, found: set[Configuration]) -> set[Configuration]:
        """Without those that have used up more of what may never have happened, to no other end."""
        unknown = frozenset(number for number, operation in self._open.items() if operation.answer is None)
        alike: defaultdict[tuple[State, frozenset[int]], list[frozenset[int]]] = defaultdict(list)
        for one in sorted(found, key=lambda one: len(one.done)):
            used = alike[one.state, one.done - unknown]
            if not any(less <= one.done for less in used):
                used.append(one.done)
        return {Configuration(state, done) for (state, _), used in alike.items() for done in used}

    def _steps(self, state: State, operation: Operation) -> list[State]:
        self._count_step()
        return list(steps(state, operation))

    def _holds(self, state: State, operation: Operation) -> bool:
        self._count_step()
        return holds(state, operation)

    def _count_step(self) -> None:
        self.steps += 1
        if self.steps > self._steps_max:
            raise Undecided(f"{len(self._part)} operations were not judged within {self._steps_max} steps.")


def _says_nothing(operation: Operation) -> bool:
    """A read that was not answered, and a registration whose install nobody was told of."""
    return operation.answer is None and operation.kind in {*READS, "register"}


def _without_lone_keys(operations: list[Operation]) -> list[Operation]:
    """A key that is used once makes no difference, and need not be remembered."""
    uses = Counter(operation.key for operation in operations)
    return [
        replace(one, asked={name: value for name, value in one.asked.items() if name != "key"})
        if uses[one.key] == 1
        else one
        for one in operations
    ]

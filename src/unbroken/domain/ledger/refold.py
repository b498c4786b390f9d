"""Refold: the people that all facts of a ledger make, live or not (linking.md, the fold).

The facts are walked once, in the order in which they were recorded. Whom a fact means depends on the labels of its own
moment, and these on every undo before it; so the fold is kept up to date all the way, and an undo folds again only what
comes after the link it cancels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.domain import errors
from unbroken.domain.app import Policy
from unbroken.domain.ledger.facts import Fact, Registered, Renamed, Unlinked, UserDisabled, UserEnabled
from unbroken.domain.ledger.fold import apply
from unbroken.domain.ledger.labels import NOTHING_MOVED, Moved, known_by, labels_of
from unbroken.domain.ledger.people import People

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import FactId, UserId

_KEPT_EVERY: Final = 16
"""So many facts lie between two copies of the people: folding fewer again costs less than copying everybody."""


def live(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that take part: from the last to the first, an undo that stands cancels its subject."""
    taking_part: list[Fact] = []
    cancelled: set[FactId] = set()
    for fact in sorted(facts, key=lambda fact: fact.position, reverse=True):
        if fact.fact_id in cancelled:
            continue
        if isinstance(fact.said, Unlinked):
            cancelled.add(fact.said.subject)
        else:
            taking_part.append(fact)
    return taking_part


@dataclass(frozen=True, slots=True)
class Folded:
    """What facts make.

    Args:
        people: under the ids that registrations gave out; `labelled` has them as customers do.
        applied: the live facts that no rule refused, in order; they name users by the ids that registrations gave out.
        refused: the live facts that a rule refused at their own place.
        about: of each live fact that names a user, the user that it meant.
        moved: what the undos have done to ids.
    """

    people: People
    applied: list[Fact]
    refused: list[FactId]
    about: dict[FactId, UserId]
    moved: Moved


def refold(facts: Iterable[Fact]) -> Folded:
    """Fold the live facts by `(at, position)`, under the policies in force at each point."""
    walk = Walk()
    for fact in sorted(facts, key=lambda fact: fact.position):
        walk.add(fact)
    return walk.folded()


def labelled(folded: Folded) -> People:
    """The people of a fold under the ids that customers know; every id that was given out is there."""
    return known_by(folded.people, labels_of(folded.people, folded.moved))


@dataclass(slots=True)
class _Told:
    """A fact, the ids as they were when it was recorded, and what came of it where the fold stands now."""

    fact: Fact
    moved: Moved
    is_refused: bool = False
    about: UserId | None = None

    @property
    def place(self) -> tuple[int, int]:
        return self.fact.at, self.fact.position


class Walk:
    """The fold of a ledger that grows fact by fact, in the order of positions."""

    def __init__(self) -> None:
        self._told: dict[FactId, _Told] = {}
        self._undos: defaultdict[FactId, list[FactId]] = defaultdict(list)
        self._cancelled: set[FactId] = set()
        self._line: list[_Told] = []
        self._moved = NOTHING_MOVED
        self._people = People(Policy())
        self._kept = [self._people.copy()]
        self._folded = 0  # how many facts at the head of the line are in `people`
        self._standing = 0  # and how many of those are still the ones that were folded

    def add(self, fact: Fact) -> None:
        """The next fact."""
        if isinstance(fact.said, Registered):
            self._moved = self._moved.with_aliases(fact.said)
        told = self._told[fact.fact_id] = _Told(fact, self._moved)
        if isinstance(fact.said, Unlinked):
            self._undo(fact.fact_id, fact.said)
        else:
            self._insert(told)

    def folded(self) -> Folded:
        """What the facts so far make."""
        people = self._up_to_date().copy()
        applied = [_as_registered(told.fact, told.moved) for told in self._line if not told.is_refused]
        refused = [told.fact.fact_id for told in self._line if told.is_refused]
        about = {told.fact.fact_id: told.about for told in self._line if told.about is not None}
        return Folded(people, applied, refused, about, self._moved)

    # The line of live facts

    def _undo(self, fact_id: FactId, said: Unlinked) -> None:
        before = self._up_to_date().copy()
        self._undos[said.subject].append(fact_id)
        self._cancel_or_restore(said.subject)
        self._moved = self._moved.after_undo(before, self._up_to_date(), said.fresh_user)

    def _cancel_or_restore(self, fact_id: FactId) -> None:
        """A fact is cancelled while an undo of it stands; where that is an undo, its own subject may change with it."""
        while (told := self._told.get(fact_id)) is not None:
            is_cancelled = not self._cancelled.issuperset(self._undos[fact_id])
            if is_cancelled == (fact_id in self._cancelled):
                return
            self._cancelled ^= {fact_id}
            if not isinstance(told.fact.said, Unlinked):
                self._remove(told) if is_cancelled else self._insert(told)
                return
            fact_id = told.fact.said.subject

    def _insert(self, told: _Told) -> None:
        at = bisect_left(self._line, told.place, key=lambda one: one.place)
        self._line.insert(at, told)
        self._standing = min(self._standing, at)

    def _remove(self, told: _Told) -> None:
        at = bisect_left(self._line, told.place, key=lambda one: one.place)
        del self._line[at]
        self._standing = min(self._standing, at)

    # Folding

    def _up_to_date(self) -> People:
        if self._standing < self._folded:
            self._go_back()
        for told in self._line[self._folded :]:
            if self._folded == len(self._kept) * _KEPT_EVERY:
                self._kept.append(self._people.copy())
            self._apply(told)
            self._folded += 1
        self._standing = self._folded
        return self._people

    def _go_back(self) -> None:
        """To the last copy of the people that holds nothing which is another by now."""
        del self._kept[self._standing // _KEPT_EVERY + 1 :]
        self._people = self._kept[-1].copy()
        self._folded = (len(self._kept) - 1) * _KEPT_EVERY

    def _apply(self, told: _Told) -> None:
        fact = _as_registered(told.fact, told.moved)
        told.about, told.is_refused = _whom(self._people, fact), False
        try:
            apply(self._people, fact)
        except errors.Refusal:
            told.is_refused = True


def _as_registered(fact: Fact, moved: Moved) -> Fact:
    """A fact that names a user by a label, under the id of that user's registration."""
    said = fact.said
    if not isinstance(said, UserDisabled | UserEnabled | Renamed):
        return fact
    return fact._replace(said=replace(said, user_id=moved.registered(said.user_id)))


def _whom(people: People, fact: Fact) -> UserId | None:
    """The user that a fact means, if it names one by its id."""
    said = fact.said
    if not isinstance(said, UserDisabled | UserEnabled | Renamed) or said.user_id not in people.users:
        return None
    return people.resolve(said.user_id).user_id

"""Facts in their order, and what they make of installs and accounts: linking.md read aloud once more.

Nothing is kept but the facts; to ask anything they are gone through from the first on. So an undo needs no rule of its
own: what it leaves is what the other facts make. No code is shared with the platform, nor with the naive model of the
sequential histories, which knows neither undo nor facts that may have been said.

Left out as no history here contains it: uploads (every install is pristine), disabling, activating on purpose, rename,
erasure, authentication codes, and policies other than the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

RANK: Final = {"phone": 2, "tablet": 1}


class Unknown(NamedTuple):
    """An id that the platform has chosen and nobody was told yet.

    Args:
        of: which; the same in all states in which the same has happened, whoever made it happen.
        what: the kind of thing that it is the id of.
    """

    of: str
    what: str


Id = str | Unknown


class Registered(NamedTuple):
    """An install came to be."""

    install: str
    form: str


class Linked(NamedTuple):
    """The customer's server said whose an install is."""

    name: Id
    install: str
    account: str


class Reset(NamedTuple):
    """An install was given up by its SDK."""

    install: str


class Undone(NamedTuple):
    """A link, or an undo, was taken back."""

    name: Id
    subject: Id


Fact = Registered | Linked | Reset | Undone


@dataclass(eq=False)
class People:
    """What facts make of installs and accounts.

    Args:
        forms: of every install, in the order of their registration.
        account_of: of every linked install.
        link_of: the id of the fact that linked it.
        holders: of every account, its active install, if any.
        refused: the ids of links that the decision table refuses at their place.
    """

    forms: dict[str, str] = field(default_factory=dict)
    account_of: dict[str, str] = field(default_factory=dict)
    link_of: dict[str, Id] = field(default_factory=dict)
    holders: dict[str, str | None] = field(default_factory=dict)
    superseded: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    refused: set[Id] = field(default_factory=set)

    def state(self, install: str) -> str:
        """active, standby, superseded or deleted."""
        if install in self.deleted:
            return "deleted"
        if install in self.superseded:
            return "superseded"
        account = self.account_of.get(install)
        return "active" if account is None or self.holders[account] == install else "standby"

    def refusal(self, install: str, account: str) -> str | None:
        """Rows 5, 7 and 8."""
        if install in self.deleted:
            return "INSTALL_DELETED"
        if install not in self.account_of:
            return None
        if self.account_of[install] != account:
            return "INSTALL_LINKED_TO_OTHER_USER"
        return "INSTALL_DEACTIVATED" if install in self.superseded else None

    def installs_of(self, account: str) -> list[str]:
        """Every install that is linked to it, deleted ones too."""
        return [install for install in self.forms if self.account_of.get(install) == account]

    def precedence(self, install: str) -> tuple[int, int]:
        """The form, then the place of the registration."""
        return RANK[self.forms[install]], list(self.forms).index(install)


@lru_cache(maxsize=100_000)
def people_of(facts: tuple[Fact, ...]) -> People:
    """What these facts make; not to be changed by whoever asks."""
    people, cancelled = People(), cancelled_in(facts)
    for fact in facts:
        if not isinstance(fact, Linked) or fact.name not in cancelled:
            _apply(people, fact)
    return people


def cancelled_in(facts: tuple[Fact, ...]) -> set[Id]:
    """The ids of what an undo that stands has taken back."""
    cancelled: set[Id] = set()
    for fact in reversed(facts):
        if isinstance(fact, Undone) and fact.name not in cancelled:
            cancelled.add(fact.subject)
    return cancelled


def _apply(people: People, fact: Fact) -> None:
    if isinstance(fact, Registered):
        people.forms[fact.install] = fact.form
    elif isinstance(fact, Linked):
        _link(people, fact)
    elif isinstance(fact, Reset):
        people.deleted.add(fact.install)
        for account, holder in people.holders.items():
            if holder == fact.install:
                people.holders[account] = None


def _link(people: People, fact: Linked) -> None:
    if people.refusal(fact.install, fact.account) is not None:
        people.refused.add(fact.name)
    elif fact.install not in people.account_of:
        people.account_of[fact.install], people.link_of[fact.install] = fact.account, fact.name
        _join(people, fact.install, people.holders.get(fact.account), fact.account)


def _join(people: People, install: str, holder: str | None, account: str) -> None:
    """Rows 10 and 12, and the table of activation; an account that is new has no holder."""
    if holder is not None and people.precedence(install) < people.precedence(holder):
        return
    if holder is not None:
        people.superseded.add(holder)
    people.holders[account] = install


def new_link(facts: tuple[Fact, ...], install: str, account: str) -> Linked:
    """The next link of an install."""
    place = sum(isinstance(fact, Linked) and fact.install == install for fact in facts)
    return Linked(Unknown(f"{place} of {install}", "link"), install, account)


def new_undo(facts: tuple[Fact, ...], subject: str) -> Undone:
    """The next undo of a link or an undo."""
    place = sum(isinstance(fact, Undone) and fact.subject == subject for fact in facts)
    return Undone(Unknown(f"{place} of {subject}", "link"), subject)


def link_of(facts: tuple[Fact, ...], name: Id) -> Linked:
    """The link that an undo, or an undo of an undo, is about."""
    named = {fact.name: fact for fact in facts if isinstance(fact, Linked | Undone)}
    fact = named[name]
    while isinstance(fact, Undone):
        fact = named[fact.subject]
    return fact


def added(facts: tuple[Fact, ...], fact: Fact) -> tuple[Fact, ...]:
    """The facts with one more.

    Neighbours that touch nothing in common stand in the order of their ids and not of their saying: it makes no
    difference to anybody, and a search meets fewer states for it.
    """
    place, everything = len(facts), (*facts, fact)
    while place and repr(facts[place - 1]) > repr(fact) and _is_apart(facts[place - 1], fact, everything):
        place -= 1
    return (*facts[:place], fact, *facts[place:])


def sorted_out(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """The same, added one by one; for facts whose ids have become known."""
    done: tuple[Fact, ...] = ()
    for fact in facts:
        done = added(done, fact)
    return done


def _is_apart(one: Fact, other: Fact, facts: tuple[Fact, ...]) -> bool:
    return not _touched(one, facts) & _touched(other, facts)


def _touched(fact: Fact, facts: tuple[Fact, ...]) -> set[str]:
    """What the place of a fact among the others can matter to; that of an undo only matters beside its subject."""
    if isinstance(fact, Registered):
        return {"registrations", f"install {fact.install}"}
    if isinstance(fact, Linked):
        return {f"install {fact.install}", f"account {fact.account}", str(fact.name)}
    if isinstance(fact, Undone):
        return {str(fact.name), str(fact.subject)}
    linked = {f"account {one.account}" for one in facts if isinstance(one, Linked) and one.install == fact.install}
    return {f"install {fact.install}"} | linked

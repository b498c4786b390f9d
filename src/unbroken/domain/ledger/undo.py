"""Undo: the fold runs again without a link, and ids that were given out keep their meaning (linking.md, the fold).

Facts are folded under the ids that registrations gave out; labels say by which ids customers know these users. A
label moves only when an undo changes who is the first of a person: as long as any link to an external id stands, its
user keeps the id under which it was answered, and the install that had that id gets the fresh one of the undo.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from unbroken.domain import errors
from unbroken.domain.app import Policy
from unbroken.domain.ledger.facts import Fact, Linked, Renamed, Unlinked, UserDisabled, UserEnabled
from unbroken.domain.ledger.fold import apply
from unbroken.domain.ledger.people import People
from unbroken.domain.user import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbroken.domain.ids import FactId, InstallId, UserId


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
    """People, and the facts that a rule refused at their own place."""

    people: People
    refused: list[FactId]


def refold(facts: Sequence[Fact]) -> Folded:
    """Fold the live facts by `(at, position)`, under the policies in force at each point."""
    people, refused = People(Policy()), []
    for fact in sorted(live(facts), key=lambda fact: (fact.at, fact.position)):
        try:
            apply(people, as_registered(people, fact, facts))
        except errors.Refusal:
            refused.append(fact.fact_id)
    return Folded(people, refused)


def as_registered(people: People, fact: Fact, facts: Sequence[Fact]) -> Fact:
    """A fact that names a user by a label, under the id of that user's registration."""
    said = fact.said
    if not isinstance(said, UserDisabled | UserEnabled | Renamed):
        return fact
    earlier = [one for one in facts if one.position < fact.position]
    if not any(isinstance(one.said, Unlinked) for one in earlier):
        return fact
    labels = labels_of(people, earlier)
    named = labels.aliases.get(said.user_id, said.user_id)
    registered = next((user_id for user_id, label in labels.of.items() if label == named), named)
    return replace(fact, said=replace(said, user_id=registered))


# Labels


@dataclass(slots=True)
class Labels:
    """By which ids the users of a fold are known.

    Args:
        of: the label of each user, by the id of its install's registration.
        aliases: every other id that was given out, and the label of the user it stands for.
    """

    of: dict[UserId, UserId] = field(default_factory=dict)
    aliases: dict[UserId, UserId] = field(default_factory=dict)


def labels_of(people: People, facts: Sequence[Fact]) -> Labels:
    """The labels of a fold's users, from all facts, live or not, in the order they were recorded."""
    moved, fresh = _moved_labels(facts)
    labels = Labels({install.own_user: install.own_user for install in people.installs.values()} | moved)
    known = set(labels.of.values())
    for install in people.installs.values():
        current = labels.of[people.resolve(install.own_user).user_id]
        issued = [install.own_user, *(user_id for user_id, whose in fresh.items() if whose == install.own_user)]
        labels.aliases |= {user_id: current for user_id in issued if user_id not in known}
    return labels


def _moved_labels(facts: Sequence[Fact]) -> tuple[dict[UserId, UserId], dict[UserId, UserId]]:
    """The labels that undos have moved, and for each fresh id the user it was given to."""
    moved: dict[UserId, UserId] = {}
    fresh: dict[UserId, UserId] = {}
    for undo in sorted(facts, key=lambda fact: fact.position):
        if isinstance(undo.said, Unlinked):
            before = [fact for fact in facts if fact.position < undo.position]
            now, after = refold(before).people, refold([*before, undo]).people
            moved = _move(moved, now, after, undo.said.fresh_user)
            fresh |= {label: user for user, label in moved.items() if label == undo.said.fresh_user}
    return moved, fresh


def _move(
    labels: dict[UserId, UserId], before: People, after: People, fresh_user: UserId | None
) -> dict[UserId, UserId]:
    """The labels after an undo: a person that is still there keeps its own; who lost one to it gets another."""
    moved: dict[UserId, UserId] = {}
    for external_id in before.carriers.keys() & after.carriers.keys():
        was, is_ = before.resolve(before.carriers[external_id]), after.resolve(after.carriers[external_id])
        moved[is_.user_id] = labels.get(was.user_id, was.user_id)
    taken = set(moved.values())
    for user_id in sorted(install.own_user for install in after.installs.values()):
        if user_id not in moved:
            choices = (labels.get(user_id, user_id), user_id, fresh_user)
            label = next((choice for choice in choices if choice is not None and choice not in taken), user_id)
            moved[user_id] = label
            taken.add(label)
    return {user_id: label for user_id, label in moved.items() if label != user_id}


def labelled(people: People, facts: Sequence[Fact]) -> People:
    """The same people under the ids that customers know; every id that was given out is there."""
    labels = labels_of(people, facts)
    known = People(people.policy)
    known.installs = {
        install.install_id: replace(install, own_user=labels.of[install.own_user], user=labels.of[install.user])
        for install in people.installs.values()
    }
    known.users = {labels.of[user.user_id]: _user(user, labels) for user in people.users.values()}
    for alias, target in labels.aliases.items():
        known.users[alias] = _alias(alias, target, known.users[target])
    known.carriers = {external_id: labels.of[user_id] for external_id, user_id in people.carriers.items()}
    known.spans = {
        install_id: [replace(span, user_id=labels.of[span.user_id]) for span in spans]
        for install_id, spans in people.spans.items()
    }
    return known


def _user(user: User, labels: Labels) -> User:
    redirect = None if user.redirect is None else labels.of[user.redirect]
    return replace(user, user_id=labels.of[user.user_id], redirect=redirect)


def _alias(user_id: UserId, target: UserId, of: User) -> User:
    return User(user_id, created_at=of.created_at, named_at=of.named_at, touched_at=of.touched_at, redirect=target)


# Deciding


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo makes of people, under the ids that customers know."""

    said: Unlinked
    before: People
    after: People


def decide_undo(facts: Sequence[Fact], subject: Fact, undo: Fact, fresh_user: UserId) -> Undone:
    """What cancelling `subject` does.

    Args:
        facts: every fact of all people that it can reach, live or not.
        undo: the fact to be added, still without a fresh id.
        fresh_user: the id for the install's own user, should it need one.

    Raises:
        LaterFactsDepend: the fold without the subject refuses a live fact; the refusal names all of them.
        UserDisabled: the external id would move from or to a user that is disabled.
    """
    now, without = refold(facts), refold([*facts, undo])
    refused = [fact_id for fact_id in without.refused if fact_id not in now.refused]
    if refused:
        raise errors.LaterFactsDepend(details=tuple((fact_id.hex(), "This fact depends on it.") for fact_id in refused))
    with_fresh = replace(undo, said=Unlinked(subject.fact_id, fresh_user))
    is_needed = fresh_user in labels_of(without.people, [*facts, with_fresh]).of.values()
    told = with_fresh if is_needed else undo
    assert isinstance(told.said, Unlinked)
    before, after = labelled(now.people, facts), labelled(without.people, [*facts, told])
    _refuse_disabled(_install_of(facts, subject), before, after)
    return Undone(told.said, before, after)


def _install_of(facts: Sequence[Fact], subject: Fact) -> InstallId:
    """The install whose link an undo, or an undo of an undo, is about."""
    by_id = {fact.fact_id: fact for fact in facts}
    said = subject.said
    while isinstance(said, Unlinked):
        said = by_id[said.subject].said
    assert isinstance(said, Linked)
    return said.install_id


def _refuse_disabled(install_id: InstallId, before: People, after: People) -> None:
    for people in (before, after):
        if people.resolve(people.installs[install_id].user).is_disabled:
            raise errors.UserDisabled("Enable the user first: an undo does not lift a disabling in silence.")

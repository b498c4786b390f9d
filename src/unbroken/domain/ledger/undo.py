"""Undo: may a link be taken back, and what would that make of everybody (linking.md, the fold, and unlinking)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain import errors
from unbroken.domain.ledger.facts import Fact, Linked, Unlinked
from unbroken.domain.ledger.labels import labels_of
from unbroken.domain.ledger.refold import Walk, labelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import InstallId, UserId
    from unbroken.domain.ledger.people import People


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
    walk = Walk()
    for fact in sorted(facts, key=lambda fact: fact.position):
        walk.add(fact)
    now = walk.folded()
    with_fresh = undo._replace(said=Unlinked(subject.fact_id, fresh_user))
    walk.add(with_fresh)
    without = walk.folded()
    refused = [fact_id for fact_id in without.refused if fact_id not in now.refused]
    if refused:
        raise errors.LaterFactsDepend(details=tuple((fact_id.hex(), "This fact depends on it.") for fact_id in refused))
    before, after = labelled(now), labelled(without)
    _refuse_disabled(_install_of(facts, subject), before, after)
    is_needed = fresh_user in labels_of(without.people, without.moved).of.values()
    return Undone(Unlinked(subject.fact_id, fresh_user if is_needed else None), before, after)


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

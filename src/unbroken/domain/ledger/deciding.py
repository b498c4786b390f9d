"""Deciding: what an install's state at an instant rests on, read off the facts.

A fact that lets an install or its user go on decides nothing by itself: the install is what it was before, and that
rests on what it rested on then. Only where a rival is found in its place, or none is, does the enabling decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain.app import Policy
from unbroken.domain.install import State
from unbroken.domain.ledger.facts import (
    Disabled,
    Enabled,
    Fact,
    Linked,
    PolicyChanged,
    Unlinked,
    UserDisabled,
    UserEnabled,
)
from unbroken.domain.ledger.fold import fold
from unbroken.domain.ledger.refold import refold
from unbroken.domain.standing import Standing, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unbroken.domain.app import Precedence
    from unbroken.domain.ids import FactId, InstallId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.people import People, Span


@dataclass(frozen=True, slots=True)
class Decision:
    """How an install stood at an instant, and what decided that.

    Args:
        install: as it was then.
        standing: how it stood, with what is behind it.
        since: from when on, epoch milliseconds.
        cause: the fact that decided.
        rival: the install whose precedence decided, where one did.
        precedence: the app's policy when that fact came.
        facts: all that had been said by then and stands: nothing of what was undone, whenever that was.
        unlinked_at: when its link was undone, if it was, and it has no other; epoch milliseconds.
    """

    install: Install
    standing: Standing
    since: int
    cause: Fact
    rival: Install | None
    precedence: Precedence
    facts: Sequence[Fact]
    unlinked_at: int | None = None


def decision(facts: Sequence[Fact], install_id: InstallId, at: int) -> Decision:
    """What decided how an install stood at an instant.

    Args:
        facts: of everybody concerned, live or not, later ones too: an undo counts whenever it came.
        install_id: registered by then.
        at: epoch milliseconds.
    """
    live = [fact for fact in refold(facts).applied if fact.at <= at]
    people = fold(live, Policy())
    install = people.install(install_id)
    standing = standing_of(install, people.resolve(install.user))
    if standing in {Standing.INSTALL_DISABLED, Standing.USER_DISABLED}:
        cause, rival = _disabling(live, people, install, standing), None
    else:
        cause, rival = _deciding(live, install_id)
    since = people.spans[install_id][-1].from_ms
    unlinked_at = None if install.is_linked else _unlinked_at(facts, install_id, at)
    return Decision(install, standing, since, cause, rival, _policy_at(live, cause).precedence, live, unlinked_at)


def _unlinked_at(facts: Iterable[Fact], install_id: InstallId, at: int) -> int | None:
    """When the last of its links by then was undone: the last undo of one, or of an undo of one, and so on."""
    told: set[FactId] = set()
    unlinked_at = None
    for fact in facts:
        if isinstance(fact.said, Linked) and fact.said.install_id == install_id and fact.at <= at:
            told.add(fact.fact_id)
        elif isinstance(fact.said, Unlinked) and fact.said.subject in told:
            told.add(fact.fact_id)
            unlinked_at = fact.at
    return unlinked_at


def _disabling(live: Sequence[Fact], people: People, install: Install, standing: Standing) -> Fact:
    """The disabling that holds: install and user are each enabled by themselves."""
    return next(fact for fact in reversed(live) if _disables(fact, people, install, standing))


def _disables(fact: Fact, people: People, install: Install, standing: Standing) -> bool:
    match fact.said:
        case Disabled(install_id):
            return standing is Standing.INSTALL_DISABLED and install_id == install.install_id
        case UserDisabled(user_id):
            return standing is Standing.USER_DISABLED and people.resolve(user_id).user_id == install.user
        case _:
            return False


def _deciding(live: Sequence[Fact], install_id: InstallId) -> tuple[Fact, Install | None]:
    """The fact that decided, and the rival, where its precedence did.

    While a user is disabled its `holder` goes on as if nothing were (linking.md, the fold). So the disablings of users
    are left out here: then no span hides what was decided meanwhile.
    """
    facts = {fact.fact_id: fact for fact in live if not isinstance(fact.said, UserDisabled | UserEnabled)}
    people = fold(facts.values(), Policy())
    span = _decided_in(people.spans[install_id], facts)
    return facts[span.cause], people.install(span.rival) if span.rival is not None else None


def _decided_in(spans: Sequence[Span], facts: Mapping[FactId, Fact]) -> Span:
    """The span in which the present state was decided: the present one, or one that an enabling gave back."""
    decided = spans[-1]
    for span in reversed(spans[:-1]):
        if decided.rival is not None or not isinstance(facts[decided.cause].said, Enabled):
            break
        if span.state is decided.state:
            decided = span
        elif span.state is not State.DISABLED:  # it was on standby, and the enabling found no other active
            break
    return decided


def _policy_at(live: Iterable[Fact], cause: Fact) -> Policy:
    """The policy in force at the place of a fact."""
    policy = Policy()
    for fact in live:
        if fact is cause:
            break
        if isinstance(fact.said, PolicyChanged):
            policy = fact.said.policy
    return policy

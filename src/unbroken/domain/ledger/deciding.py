"""Deciding: what an install's state at an instant rests on, read off the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain.app import Policy
from unbroken.domain.ledger.facts import Disabled, Fact, PolicyChanged, UserDisabled
from unbroken.domain.ledger.fold import fold
from unbroken.domain.ledger.refold import refold
from unbroken.domain.standing import Standing, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbroken.domain.app import Precedence
    from unbroken.domain.ids import InstallId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.people import People


@dataclass(frozen=True, slots=True)
class Decision:
    """How an install stood at an instant, and what decided that.

    Args:
        standing: how it stood, with what is behind it.
        cause: the fact that decided.
        rival: the install whose precedence decided, where one did.
        precedence: the app's policy when that fact came.
    """

    standing: Standing
    cause: Fact
    rival: Install | None
    precedence: Precedence


def decision(facts: Iterable[Fact], install_id: InstallId, at: int) -> Decision:
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
        cause, rival = _deciding(live, people, install)
    return Decision(standing, cause, rival, _policy_at(live, cause).precedence)


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


def _deciding(live: Sequence[Fact], people: People, install: Install) -> tuple[Fact, Install | None]:
    """The fact that opened the present span, and the rival, where its precedence decided."""
    span = people.spans[install.install_id][-1]
    cause = next(fact for fact in live if fact.fact_id == span.cause)
    return cause, people.install(span.rival) if span.rival is not None else None


def _policy_at(live: Iterable[Fact], cause: Fact) -> Policy:
    """The policy in force at the place of a fact."""
    policy = Policy()
    for fact in live:
        if fact is cause:
            break
        if isinstance(fact.said, PolicyChanged):
            policy = fact.said.policy
    return policy

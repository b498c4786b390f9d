"""Deciding: what an install's state rests on, read off the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.app import Policy
from unbroken.domain.ledger.facts import Fact, PolicyChanged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import FactId


def policy_at(facts: Iterable[Fact], decided_by: FactId) -> Policy:
    """The policy under which a fact was decided: the one in force at its place."""
    policy = Policy()
    for fact in sorted(facts, key=lambda fact: (fact.at, fact.position)):
        if fact.fact_id == decided_by:
            break
        if isinstance(fact.said, PolicyChanged):
            policy = fact.said.policy
    return policy

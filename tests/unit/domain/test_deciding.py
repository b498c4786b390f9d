"""What decided, read off any facts, agrees with the spans; and no enabling of a user decides."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from tests.unit.domain.test_refold import NAMES, install, ledgers

from unbroken.domain.app import Policy
from unbroken.domain.install import State
from unbroken.domain.ledger.deciding import decision
from unbroken.domain.ledger.facts import Enabled, UserDisabled, UserEnabled
from unbroken.domain.ledger.fold import fold
from unbroken.domain.ledger.refold import refold
from unbroken.domain.payload import Outcome
from unbroken.domain.standing import STATES, Standing


@given(ledgers())
def test_at_every_instant_an_install_is_told_to_have_stood_as_its_spans_say(facts):
    people = refold(facts).people
    for name, at in {(name, fact.at) for name in NAMES for fact in facts}:
        spans = people.spans[install(name)]
        place = bisect_right(spans, at, key=lambda span: span.from_ms)
        if place == 0:
            continue
        span, told = spans[place - 1], decision(facts, install(name), at)
        if span.outcome is Outcome.BEFORE_LINK:
            assert not told.install.is_linked
            assert STATES[told.standing] in {State.ACTIVE, State.DISABLED}
        else:
            assert (STATES[told.standing], told.since) == (span.state, span.from_ms)


@given(ledgers())
def test_an_enabling_decides_only_where_it_does_not_give_back_what_was(facts):
    for name in NAMES:
        told = decision(facts, install(name), facts[-1].at + 10_000)
        is_by_user = told.standing is Standing.USER_DISABLED
        assert isinstance(told.cause.said, UserDisabled) == is_by_user
        assert not isinstance(told.cause.said, UserEnabled)
        if isinstance(told.cause.said, Enabled):
            assert told.rival is not None or told.standing is Standing.ACTIVE


@given(ledgers())
def test_the_facts_that_were_applied_make_the_same_people_by_themselves(facts):
    folded = refold(facts)
    again = fold(folded.applied, Policy())
    assert (again.installs, again.users, again.spans) == (
        folded.people.installs,
        folded.people.users,
        folded.people.spans,
    )

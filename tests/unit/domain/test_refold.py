"""The walk over a ledger gives what its definition gives, which folds everything anew for each undo; but in no time."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from unbroken.domain import errors
from unbroken.domain.app import Policy, Precedence, Takeover, UsedInstall
from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
from unbroken.domain.install import Form
from unbroken.domain.ledger.facts import (
    Activated,
    Disabled,
    Enabled,
    Fact,
    Linked,
    PolicyChanged,
    Registered,
    Renamed,
    Reset,
    Unlinked,
    UserDisabled,
    UserEnabled,
)
from unbroken.domain.ledger.fold import apply
from unbroken.domain.ledger.labels import NOTHING_MOVED, Moved
from unbroken.domain.ledger.people import People
from unbroken.domain.ledger.refold import live, refold

NAMES = "ABCD"


def install(name: str) -> InstallId:
    return InstallId(name.encode().ljust(12, b"."))


def user(name: str) -> UserId:
    return UserId(b"u" + name.encode().ljust(11, b"."))


def fact(position: int, at: int, said) -> Fact:
    return Fact(FactId(position.to_bytes(12, "big")), position, at, said)


def told(*said) -> list[Fact]:
    return [fact(place, place * 1000, one) for place, one in enumerate(said, 1)]


# The definition, word by word: the people and labels before and after each undo are folds of their own.


def defined_fold(facts: list[Fact]) -> tuple[People, list[FactId]]:
    people, refused = People(Policy()), []
    for one in sorted(live(facts), key=lambda one: (one.at, one.position)):
        said = one.said
        if isinstance(said, UserDisabled | UserEnabled | Renamed):
            moved = defined_moves([earlier for earlier in facts if earlier.position < one.position])
            said = replace(said, user_id=moved.registered(said.user_id))
        try:
            apply(people, one._replace(said=said))
        except errors.Refusal:
            refused.append(one.fact_id)
    return people, refused


def defined_moves(facts: list[Fact]) -> Moved:
    undos = [one for one in facts if isinstance(one.said, Unlinked)]
    if not undos:
        return NOTHING_MOVED
    last = max(undos, key=lambda one: one.position)
    before = [one for one in facts if one.position < last.position]
    return defined_moves(before).after_undo(
        defined_fold(before)[0], defined_fold([*before, last])[0], last.said.fresh_user
    )


@st.composite
def ledgers(draw):
    """Facts as nobody would allow them: out of order, refused ones among them, a few undos of anything."""
    facts: list[Fact] = []
    undos = 0

    def tell(said) -> None:
        position = len(facts) + 1
        late = 0 if isinstance(said, Registered) else draw(st.sampled_from([0, 0, 0, 1, 2000, 9000]))
        facts.append(fact(position, position * 1000 - min(late, (position - len(NAMES)) * 1000 - 1), said))

    for name in NAMES:
        tell(Registered(install(name), user(name), draw(st.sampled_from(Form))))
    for _ in range(draw(st.integers(1, 25))):
        one, who = install(draw(st.sampled_from(NAMES))), user(draw(st.sampled_from(NAMES)))
        name = ExternalId(draw(st.sampled_from(["anna", "ben"])))
        subject = draw(st.sampled_from([*filter(is_link_or_undo, facts), facts[0]]))
        policy = Policy(takeover=draw(st.sampled_from(Takeover)), precedence=draw(st.sampled_from(Precedence)))
        said = draw(
            st.sampled_from(
                [
                    *[Linked(one, name, UsedInstall.REFUSE, pristine=True)] * 5,
                    *[Unlinked(subject.fact_id, UserId(b"fresh-%06d" % len(facts)))] * 5,
                    Renamed(who, name, release_old=draw(st.booleans())),
                    UserDisabled(who),
                    UserEnabled(who),
                    Disabled(one),
                    Enabled(one),
                    Activated(one),
                    Reset(one),
                    PolicyChanged(policy),
                ]
            )
        )
        if isinstance(said, Unlinked):
            undos += 1
            if undos > 3 or subject is facts[0]:
                continue
        tell(said)
    return facts


def is_link_or_undo(one: Fact) -> bool:
    return isinstance(one.said, Linked | Unlinked)


def assert_as_defined(facts: list[Fact]) -> None:
    people, refused = defined_fold(facts)
    folded = refold(reversed(facts))
    assert folded.people.installs == people.installs
    assert folded.people.users == people.users
    assert folded.people.carriers == people.carriers
    assert folded.people.spans == people.spans
    assert folded.people.policy == people.policy
    assert folded.refused == refused
    assert folded.moved == defined_moves(facts)


@given(ledgers())
def test_the_walk_gives_what_folding_everything_anew_for_each_undo_gives(facts):
    assert_as_defined(facts)


def test_undos_of_old_links_in_a_long_ledger_and_their_undos_reach_back_exactly():
    names = [str(number) for number in range(30)]
    said = [Registered(install(name), user(name), Form.PHONE) for name in names]
    said += [Linked(install(name), ExternalId("anna"), UsedInstall.REFUSE, pristine=True) for name in names]
    facts = told(*said)
    for subject in (facts[59], facts[30], facts[45], facts[44], facts[31]):
        for undone in (subject, None):
            position = len(facts) + 1
            undo = Unlinked((undone or facts[-1]).fact_id, UserId(b"fresh-%06d" % position))
            facts.append(fact(position, position * 1000, undo))
            assert_as_defined(facts)


def test_what_a_fact_about_a_user_meant_is_told_under_the_id_of_a_registration():
    facts = told(
        Registered(install("A"), user("A"), Form.PHONE),
        Linked(install("A"), ExternalId("anna"), UsedInstall.REFUSE, pristine=True),
        Registered(install("B"), user("B"), Form.PHONE),
        Linked(install("B"), ExternalId("anna"), UsedInstall.REFUSE, pristine=True),
        Unlinked(FactId((2).to_bytes(12, "big")), user("fresh")),
        UserDisabled(user("A")),
        UserDisabled(user("fresh")),
    )
    assert refold(facts).about == {facts[5].fact_id: user("B"), facts[6].fact_id: user("A")}


def test_thirty_undos_with_changes_of_state_in_between_are_folded_in_a_moment():
    """Folding everything anew for each undo took minutes from the eighth on: seven times as long with each."""
    said = [
        Registered(install("A"), user("A"), Form.PHONE),
        Linked(install("A"), ExternalId("anna"), UsedInstall.REFUSE, pristine=True),
        Registered(install("B"), user("B"), Form.PHONE),
    ]
    for _ in range(30):
        said.append(Linked(install("B"), ExternalId("anna"), UsedInstall.REFUSE, pristine=True))
        said += [Unlinked(FactId(len(said).to_bytes(12, "big"))), UserDisabled(user("A")), UserEnabled(user("A"))]
    facts = told(*said)
    began = time.process_time()
    folded = refold(facts)
    assert time.process_time() - began < 1
    assert len(folded.about) == 60
    assert folded.refused == []
    assert [span.to_ms for span in folded.people.spans[install("B")]] == [None]

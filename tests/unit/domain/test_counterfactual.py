"""What explain names as what would have had to differ, made true in a model that knows only forms, ages and links."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from unbroken.domain.app import UsedInstall
from unbroken.domain.explain import explain
from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
from unbroken.domain.install import Form
from unbroken.domain.ledger.counterfactual import counterfactuals
from unbroken.domain.ledger.deciding import decision
from unbroken.domain.ledger.facts import Activated, Disabled, Fact, Linked, Registered, Unlinked, UserDisabled

SITUATIONS = int(os.environ.get("UNBROKEN_SITUATIONS", "1000"))


def naive(forms: list[str], installed_at: list[int], links: list[int]) -> list[str]:
    """The states of some installs that were linked to one person in this order; "active" for one that was not."""
    states, active = ["active"] * len(forms), None
    for one in links:
        if active is None:
            active = one
            continue
        beats = (forms[one] == "phone", installed_at[one]) > (forms[active] == "phone", installed_at[active])
        if beats:
            states[active], states[one], active = "superseded", "active", one
        else:
            states[one] = "standby"
    return states


@st.composite
def situations(draw):
    count = draw(st.integers(2, 6))
    forms = draw(st.lists(st.sampled_from(["phone", "tablet"]), min_size=count, max_size=count))
    links = draw(st.permutations(range(count)))[: draw(st.integers(1, count))]
    return forms, links, draw(st.sampled_from(range(count)))


def name(number: int) -> InstallId:
    return InstallId(bytes([number] * 12))


def facts_of(forms: list[str], installed_at: list[int], links: list[int]) -> list[Fact]:
    said = [Registered(name(n), UserId(bytes([100 + n] * 12)), Form(form)) for n, form in enumerate(forms)]
    facts = [Fact(FactId(bytes([n] * 12)), n + 1, installed_at[n], one) for n, one in enumerate(said)]
    for n, one in enumerate(links):
        position = len(forms) + n + 1
        link = Linked(name(one), ExternalId("anna"), UsedInstall.REFUSE, pristine=True)
        facts.append(Fact(FactId(bytes([50 + n] * 12)), position, 1_000_000 + position * 1000, link))
    return facts


@settings(max_examples=SITUATIONS, deadline=None)
@given(situations())
def test_explain_gives_the_state_of_the_model_and_each_counterfactual_comes_true_in_it(situation):
    forms, links, asked = situation
    installed_at = [(n + 1) * 1000 for n in range(len(forms))]
    facts = facts_of(forms, installed_at, links)
    decided = decision(facts, name(asked), 10_000_000)
    told = explain(decided)
    assert told.state.value == naive(forms, installed_at, links)[asked]
    named = counterfactuals(decided)
    for one in named:
        assert one.then is not told.state
        assert one.then.value in one.sentence
        changed_forms, changed_at, changed_links = list(forms), list(installed_at), list(links)
        if "form" in one.change:
            changed_forms[asked] = one.change["form"]
        if "registered_at" in one.change:
            changed_at[asked] = one.change["registered_at"]
        if "without" in one.change:
            gone = next(fact for fact in facts if fact.fact_id.hex() == one.change["without"])
            changed_links.remove(gone.said.install_id[0])
        assert one.then.value == naive(changed_forms, changed_at, changed_links)[asked]
    if told.state.value in {"superseded", "standby"}:
        assert named, "somebody who asks why a phone is not counted is told what would have made it count"


def test_the_sentence_says_what_decided_in_words():
    decided = decision(facts_of(["tablet", "phone"], [1000, 2000], [1, 0]), name(0), 10_000_000)
    assert "phone" in explain(decided).sentence
    assert "standby" in explain(replace(decided, rival=None)).sentence


def sentences(more: list[object], asked: int) -> list[str]:
    """Of two phones that were linked one after the other, after some more facts."""
    facts = facts_of(["phone", "phone"], [1000, 2000], [0, 1])
    for n, said in enumerate(more):
        position = len(facts) + 1
        facts.append(Fact(FactId(bytes([80 + n] * 12)), position, 2_000_000 + position * 1000, said))
    return [one.sentence for one in counterfactuals(decision(facts, name(asked), 10_000_000))]


def test_the_fact_that_decided_is_named_by_what_it_did_and_to_whom():
    assert "Had the install 010101010101010101010101 not been linked, it would be active." in sentences([], 0)
    activated = [Activated(name(0))]
    assert "Had it not been made the active one, it would be superseded." in sentences(activated, 0)
    assert f"Had the install {'00' * 12} not been made the active one, it would be active." in sentences(activated, 1)
    assert "Had it not been disabled, it would be active." in sentences([Disabled(name(1))], 1)
    assert "Had its user not been disabled, it would be active." in sentences(
        [UserDisabled(UserId(bytes([100] * 12)))], 1
    )


def test_an_install_whose_link_was_undone_is_told_when_and_one_whose_undo_was_undone_is_not():
    facts = facts_of(["phone"], [1000], [0])
    undo = Fact(FactId(bytes([80] * 12)), 3, 2_000_000, Unlinked(facts[-1].fact_id))
    again = Fact(FactId(bytes([81] * 12)), 4, 3_000_000, Unlinked(undo.fact_id))
    last = Fact(FactId(bytes([82] * 12)), 5, 4_000_000, Unlinked(again.fact_id))
    before_the_link = decision([*facts, undo], name(0), 2000)
    told = [
        decision([*facts, *undos], name(0), 10_000_000) for undos in ([], [undo], [undo, again], [undo, again, last])
    ]
    assert before_the_link.unlinked_at is None
    assert [one.unlinked_at for one in told] == [None, 2_000_000, None, 4_000_000]
    assert (
        explain(told[1]).sentence
        == "This phone is not linked: its link was undone, and it is active on a user of its own."
    )
    assert explain(told[1]).inputs["unlinked_at"] == 2_000_000

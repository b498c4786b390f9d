"""Undo: the people are what they would have been, and ids that were given out keep their meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.domain import errors
from unbroken.domain.app import UsedInstall
from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
from unbroken.domain.install import Form
from unbroken.domain.ledger.facts import (
    Activated,
    Disabled,
    Enabled,
    Fact,
    Linked,
    Registered,
    Renamed,
    Reset,
    Unlinked,
    UserDisabled,
)
from unbroken.domain.ledger.refold import labelled, live, refold
from unbroken.domain.ledger.undo import decide_undo

ANNA = ExternalId("anna")


def install(name: str) -> InstallId:
    return InstallId(name.encode().ljust(12, b"."))


def user(name: str) -> UserId:
    return UserId(b"u" + name.encode().ljust(11, b"."))


class Ledger:
    """Facts, one second after the other, and what they make of people under the ids that customers know."""

    def __init__(self, facts=()) -> None:
        self.facts = list(facts)

    def tell(self, said) -> Fact:
        position = len(self.facts) + 1
        fact = Fact(FactId(position.to_bytes(12, "big")), position, position * 1000, said)
        self.facts.append(fact)
        return fact

    def register(self, name: str, form: Form = Form.PHONE) -> None:
        self.tell(Registered(install(name), user(name), form))

    def link(self, name: str, external_id: str = ANNA) -> Fact:
        return self.tell(Linked(install(name), ExternalId(external_id), UsedInstall.REFUSE, pristine=True))

    def undo(self, subject: Fact) -> Fact:
        position = len(self.facts) + 1
        blank = Fact(FactId(position.to_bytes(12, "big")), position, position * 1000, Unlinked(subject.fact_id))
        fresh = UserId(b"fresh" + str(position).encode().ljust(7, b"."))
        undone = decide_undo(self.facts, subject, blank, fresh)
        assert undone.before.installs == self.people().installs
        told = self.tell(undone.said)
        assert undone.after.installs == self.people().installs
        assert undone.after.users == self.people().users
        return told

    def people(self):
        return labelled(refold(self.facts))

    def user_of(self, name: str) -> UserId:
        people = self.people()
        return people.resolve(people.installs[install(name)].user).user_id

    def stands_for(self, user_id: UserId) -> UserId:
        return self.people().resolve(user_id).user_id


def two_phones() -> tuple[Ledger, Fact, Fact]:
    ledger = Ledger()
    ledger.register("A")
    first = ledger.link("A")
    ledger.register("B")
    return ledger, first, ledger.link("B")


def test_an_install_whose_link_is_undone_has_its_own_user_back_and_the_older_one_is_active_again():
    ledger, _, second = two_phones()
    ledger.undo(second)
    assert ledger.user_of("B") == user("B")
    assert ledger.user_of("A") == user("A")
    people = ledger.people()
    assert people.users[user("A")].holder == install("A")
    assert [span.to_ms for span in people.spans[install("A")]] == [None]
    assert people.spans[install("B")][0].from_ms == 3000


def test_when_the_first_link_is_undone_the_person_keeps_the_id_that_was_answered():
    ledger, first, _ = two_phones()
    undo = ledger.undo(first)
    assert ledger.user_of("B") == user("A")
    assert ledger.stands_for(user("B")) == user("A")
    assert ledger.user_of("A") == undo.said.fresh_user
    assert ledger.people().carriers[ANNA] == user("A")


def test_when_the_only_link_is_undone_the_external_id_is_free_and_the_install_keeps_its_id():
    ledger = Ledger()
    ledger.register("A")
    ledger.undo(ledger.link("A"))
    assert ledger.people().carriers == {}
    assert ledger.user_of("A") == user("A")


def test_when_both_links_are_undone_one_after_the_other_the_last_one_keeps_the_id_of_the_person():
    ledger, first, second = two_phones()
    fresh = ledger.undo(first).said.fresh_user
    ledger.undo(second)
    assert ledger.user_of("B") == user("A")
    assert ledger.stands_for(user("B")) == user("A")
    assert ledger.user_of("A") == fresh
    assert ledger.people().carriers == {}


def test_an_undo_that_is_undone_restores_the_link_and_its_fresh_id_still_means_somebody():
    ledger, first, _ = two_phones()
    before = ledger.people()
    undo = ledger.undo(first)
    ledger.undo(undo)
    after = ledger.people()
    assert after.installs == before.installs
    assert after.spans == before.spans
    assert after.carriers == before.carriers
    assert ledger.stands_for(undo.said.fresh_user) == user("A")


def test_an_install_that_was_linked_again_refuses_the_first_link_back():
    ledger, _, second = two_phones()
    undo = ledger.undo(second)
    later = ledger.link("B", "ben")
    with pytest.raises(errors.LaterFactsDepend) as refusal:
        ledger.undo(undo)
    assert refusal.value.details[0][0] == later.fact_id.hex()


def test_a_rename_depends_on_the_link_that_named_the_person():
    ledger = Ledger()
    ledger.register("A")
    first = ledger.link("A")
    ledger.tell(Renamed(user("A"), ExternalId("anna@new")))
    with pytest.raises(errors.LaterFactsDepend):
        ledger.undo(first)


def test_an_undo_does_not_lift_a_disabling_in_silence():
    ledger, _, second = two_phones()
    ledger.tell(UserDisabled(user("A")))
    with pytest.raises(errors.UserDisabled):
        ledger.undo(second)


def test_a_fact_about_the_person_after_the_first_link_was_undone_reaches_who_carries_the_id_now():
    ledger, first, _ = two_phones()
    ledger.undo(first)
    ledger.tell(UserDisabled(user("A")))
    people = ledger.people()
    assert people.users[user("A")].is_disabled
    assert people.installs[install("B")].user == user("A")
    assert not people.resolve(people.installs[install("A")].user).is_disabled


NAMES = "ABCDE"


@st.composite
def histories(draw):
    ledger = Ledger()
    for name in NAMES[: draw(st.integers(2, 5))]:
        ledger.register(name, draw(st.sampled_from(Form)))
    count = len(ledger.facts)
    for _ in range(draw(st.integers(1, 12))):
        name = NAMES[draw(st.integers(0, count - 1))]
        kind = draw(st.sampled_from(["link", "link", "link", "undo", "reset", "disable", "enable", "activate"]))
        try:
            if kind == "undo":
                subjects = list(live_or_undo(ledger))
                if subjects:
                    ledger.undo(draw(st.sampled_from(subjects)))
                continue
            external_id = ExternalId(draw(st.sampled_from(["anna", "ben"])))
            said = {
                "link": Linked(install(name), external_id, UsedInstall.REFUSE, pristine=True),
                "reset": Reset(install(name)),
                "disable": Disabled(install(name)),
                "enable": Enabled(install(name)),
                "activate": Activated(install(name)),
            }[kind]
            trial = Ledger(ledger.facts)
            trial.tell(said)
            if refold(trial.facts).refused == refold(ledger.facts).refused:
                ledger = trial
        except errors.Refusal:
            continue
    return ledger


def live_or_undo(ledger: Ledger) -> list[Fact]:
    """What can be undone: links and undos that stand."""
    cancelled: set[bytes] = set()
    standing = []
    for fact in reversed(ledger.facts):
        if fact.fact_id in cancelled or not isinstance(fact.said, Linked | Unlinked):
            continue
        standing.append(fact)
        if isinstance(fact.said, Unlinked):
            cancelled.add(fact.said.subject)
    return standing


def shape(people):
    """People without the names of users: who is together with whom, and who was active when."""
    by_user: dict[bytes, list] = {}
    for one in people.installs.values():
        spans = [(s.outcome, s.from_ms, s.to_ms) for s in people.spans[one.install_id]]
        by_user.setdefault(people.resolve(one.user).user_id, []).append(
            (one.install_id, one.state, one.external_id, spans)
        )
    return sorted(sorted(group, key=lambda g: g[0]) for group in by_user.values())


@given(histories(), st.data())
def test_a_link_that_is_undone_was_never_made_but_for_the_names_of_users(ledger, data):
    links = [fact for fact in live(ledger.facts) if isinstance(fact.said, Linked)]
    if not links:
        return
    subject = data.draw(st.sampled_from(links))
    never = [fact for fact in live(ledger.facts) if fact.fact_id != subject.fact_id]
    try:
        ledger.undo(subject)
    except errors.Refusal:
        return
    assert shape(ledger.people()) == shape(refold(never).people)


@given(histories())
def test_every_id_that_was_ever_given_out_stands_for_somebody_and_names_do_not_collide(ledger):
    people = ledger.people()
    issued = {fact.said.user_id for fact in ledger.facts if isinstance(fact.said, Registered)}
    issued |= {
        f.said.fresh_user for f in ledger.facts if isinstance(f.said, Unlinked) and f.said.fresh_user is not None
    }
    for user_id in issued:
        people.resolve(user_id)
    holders = [u.holder for u in people.users.values() if u.redirect is None and u.holder is not None]
    assert len(holders) == len(set(holders))
    for one in people.installs.values():
        assert people.users[one.user].redirect is None


@given(histories())
def test_the_first_answer_for_an_external_id_stands_as_long_as_a_link_to_it_does(ledger):
    """Replay the ledger fact by fact: an id that was answered for a person keeps standing for that external id."""
    answered: dict[str, bytes] = {}
    for count in range(1, len(ledger.facts) + 1):
        part = Ledger(ledger.facts[:count])
        people = part.people()
        for external_id, carrier in people.carriers.items():
            current = people.resolve(carrier).user_id
            assert answered.setdefault(external_id, current) == current
        answered = {external_id: user_id for external_id, user_id in answered.items() if external_id in people.carriers}

"""The table of states: it is the one in linking.md, the fold takes states from it, and an undo comes to the same."""

from __future__ import annotations

from typing import Any

import pytest

from unbroken.domain import errors
from unbroken.domain.app import Policy, Takeover, UsedInstall
from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
from unbroken.domain.install import TRANSITIONS, Event, Form, Rule, State
from unbroken.domain.ledger.facts import (
    Activated,
    Disabled,
    Enabled,
    Fact,
    Linked,
    PolicyChanged,
    Registered,
    Reset,
    Unlinked,
    UserDisabled,
)
from unbroken.domain.ledger.fold import apply
from unbroken.domain.ledger.people import People, status_of
from unbroken.domain.ledger.refold import refold

COLUMNS = [Event.OTHER_ACTIVE, Event.DISABLED, Event.ENABLED, Event.ACTIVATED, Event.UNLINKED, Event.DELETED]
LINKING_MD = """
active     | superseded | disabled         | active           | active           | active   | deleted
standby    | standby    | disabled         | standby          | active           | active   | deleted
superseded | superseded | disabled         | superseded       | active           | active   | deleted
disabled   | disabled   | disabled         | what it was      | CONFLICT         | disabled | deleted
deleted    | deleted    | INSTALL_DELETED  | INSTALL_DELETED  | INSTALL_DELETED  | deleted  | deleted
"""
WORDS: dict[str, Any] = {state.value: state for state in State}
WORDS |= {"what it was": Rule.RETURN, "CONFLICT": errors.Conflict, "INSTALL_DELETED": errors.InstallDeleted}
ENTRIES = {
    (State(row[0]), event): WORDS[word]
    for row in ([cell.strip() for cell in line.split("|")] for line in LINKING_MD.strip().splitlines())
    for event, word in zip(COLUMNS, row[1:], strict=True)
}


def name(what: str) -> InstallId:
    return InstallId(what.encode().ljust(12, b"."))


ME = name("me")


class Story:
    """Facts, one second after the other."""

    def __init__(self, *said) -> None:
        self.facts: list[Fact] = []
        for one in said:
            self.tell(one)

    def tell(self, said) -> Fact:
        position = len(self.facts) + 1
        self.facts.append(Fact(FactId(position.to_bytes(12, "big")), position, position * 1000, said))
        return self.facts[-1]

    def arrive(self, what: str, form: Form = Form.PHONE) -> Fact:
        """Somebody registers and is linked to the one account there is."""
        self.tell(Registered(name(what), UserId(name("u-" + what)), form))
        return self.tell(Linked(name(what), ExternalId("anna"), UsedInstall.REFUSE, pristine=True))

    def link(self) -> Fact:
        return next(fact for fact in self.facts if isinstance(fact.said, Linked) and fact.said.install_id == ME)

    def people(self) -> People:
        return refold(self.facts).people

    def after(self, said) -> State:
        """My state after one more fact, which may be refused."""
        people, position = self.people(), len(self.facts) + 1
        apply(people, Fact(FactId(position.to_bytes(12, "big")), position, position * 1000, said))
        return state_in(people)


def state_in(people: People) -> State:
    me = people.installs[ME]
    return status_of(me, people.resolve(me.user))


def standing(state: State) -> Story:
    """A story at whose end I stand so."""
    story = Story()
    if state is State.STANDBY:
        story.arrive("before")
    story.arrive("me", Form.TABLET if state is State.STANDBY else Form.PHONE)
    if state is State.SUPERSEDED:
        story.arrive("after")
    if state is State.DISABLED:
        story.tell(Disabled(ME))
    if state is State.DELETED:
        story.tell(Reset(ME))
    assert state_in(story.people()) is state
    return story


def befalls(story: Story, event: Event) -> State:
    match event:
        case Event.OTHER_ACTIVE:
            story.arrive("newest")
            people = story.people()
            assert people.installs[name("newest")].state is State.ACTIVE
            return state_in(people)
        case Event.DISABLED:
            return story.after(Disabled(ME))
        case Event.ENABLED:
            return story.after(Enabled(ME))
        case Event.ACTIVATED:
            return story.after(Activated(ME))
        case Event.UNLINKED:
            story.tell(Unlinked(story.link().fact_id))
            return state_in(story.people())
        case Event.DELETED:
            return story.after(Reset(ME))


def test_the_table_is_the_one_in_linking_md():
    assert ENTRIES == TRANSITIONS
    assert list(Event) == COLUMNS


@pytest.mark.parametrize(("state", "event"), [key for key, entry in ENTRIES.items() if isinstance(entry, State)])
def test_what_befalls_an_install_leaves_it_as_the_table_says(state, event):
    assert befalls(standing(state), event) is ENTRIES[state, event]


@pytest.mark.parametrize(("state", "event"), [key for key, entry in ENTRIES.items() if isinstance(entry, type)])
def test_what_the_table_refuses_is_refused(state, event):
    with pytest.raises(ENTRIES[state, event]):
        befalls(standing(state), event)


@pytest.mark.parametrize(("state", "event"), [key for key in ENTRIES if key[1] is not Event.UNLINKED])
def test_the_fold_takes_every_state_from_the_table(state, event, monkeypatch):
    """All but one column: an undo needs no rule, it folds without the link. That it agrees is tested above."""
    story = standing(state)
    other = State.STANDBY if ENTRIES[state, event] is State.DELETED else State.DELETED
    monkeypatch.setitem(TRANSITIONS, (state, event), other)
    assert befalls(story, event) is other


@pytest.mark.parametrize("takeover", Takeover)
@pytest.mark.parametrize("was", [State.ACTIVE, State.STANDBY, State.SUPERSEDED])
def test_an_install_that_is_enabled_again_is_what_it_was(was, takeover):
    story = standing(was)
    story.tell(PolicyChanged(Policy(takeover=takeover)))
    story.tell(Disabled(ME))
    assert story.after(Enabled(ME)) is was


def test_one_that_was_active_finds_another_in_its_place_and_the_activation_rule_decides():
    for newcomer, then in ((Form.PHONE, State.SUPERSEDED), (Form.TABLET, State.ACTIVE)):
        story = standing(State.ACTIVE)
        story.tell(Disabled(ME))
        story.arrive("newest", newcomer)
        assert story.after(Enabled(ME)) is then


@pytest.mark.parametrize(("takeover", "then"), [(Takeover.NEVER, State.STANDBY), (Takeover.STANDBY, State.ACTIVE)])
def test_one_that_was_on_standby_is_active_where_nobody_is_and_the_policy_lets_it_take_over(takeover, then):
    story = standing(State.STANDBY)
    story.tell(PolicyChanged(Policy(takeover=takeover)))
    story.tell(Disabled(ME))
    story.tell(Reset(name("before")))
    assert story.after(Enabled(ME)) is then


@pytest.mark.parametrize("state", [State.ACTIVE, State.STANDBY, State.SUPERSEDED])
def test_under_a_disabled_user_an_install_is_told_disabled_and_cannot_be_activated(state):
    story = standing(state)
    story.tell(UserDisabled(UserId(name("u-before" if state is State.STANDBY else "u-me"))))
    assert state_in(story.people()) is State.DISABLED
    with pytest.raises(errors.Conflict):
        story.after(Activated(ME))

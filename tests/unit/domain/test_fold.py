"""The fold: what facts make of people."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.domain import errors
from unbroken.domain.app import Policy, Takeover, UsedInstall
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
    UserDisabled,
    UserEnabled,
)
from unbroken.domain.ledger.fold import apply, fold, instant
from unbroken.domain.ledger.people import People, activation_id, status_of
from unbroken.domain.payload import Outcome

ANNA = ExternalId("anna")


def install(name: str) -> InstallId:
    return InstallId(name.encode().ljust(12, b"."))


def user(name: str) -> UserId:
    return UserId(b"u" + name.encode().ljust(11, b"."))


class Story:
    """Facts, one second after the other."""

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008 - frozen
        self.people = People(policy)
        self.position = 0

    def tell(self, said) -> None:
        self.position += 1
        fact_id = FactId(self.position.to_bytes(12, "big"))
        apply(self.people, Fact(fact_id, self.position, self.position * 1000, said))

    def register(self, name: str, form: Form = Form.PHONE) -> None:
        self.tell(Registered(install(name), user(name), form))

    def link(
        self, name: str, external_id: str = ANNA, *, pristine: bool = True, used=UsedInstall.REFUSE, floor_ms=None
    ) -> None:
        self.tell(Linked(install(name), ExternalId(external_id), used, pristine, floor_ms))

    def states(self) -> dict[str, str]:
        people = self.people
        return {
            one.install_id.decode().rstrip("."): status_of(one, people.resolve(one.user)).value
            for one in people.installs.values()
        }

    def activations(self, name: str) -> list[tuple[int, int | None]]:
        spans = self.people.spans[install(name)]
        return [(s.from_ms, s.to_ms) for s in spans if s.outcome is Outcome.ACCEPTED]


def test_a_new_install_is_active_on_a_user_of_its_own():
    story = Story()
    story.register("A")
    assert story.states() == {"A": "active"}
    assert story.activations("A") == [(1000, None)]


def test_the_first_link_names_the_own_user_and_its_activation_goes_on():
    story = Story()
    story.register("A")
    story.link("A")
    assert story.people.carriers == {ANNA: user("A")}
    assert story.activations("A") == [(1000, None)]


def test_a_new_phone_takes_over_and_its_own_user_redirects():
    story = Story()
    story.register("A")
    story.link("A")
    story.register("B")
    story.link("B")
    assert story.states() == {"A": "superseded", "B": "active"}
    assert story.people.resolve(user("B")).user_id == user("A")
    assert story.activations("A") == [(1000, 4000)]
    assert story.activations("B") == [(4000, None)]


def test_an_older_install_that_links_later_is_on_standby():
    story = Story()
    story.register("old")
    story.register("new")
    story.link("new")
    story.link("old")
    assert story.states() == {"old": "standby", "new": "active"}


@pytest.mark.parametrize("first", ["phone", "tablet"])
def test_a_tablet_never_takes_over_from_a_phone_whichever_comes_first(first):
    story = Story()
    names = ["phone", "tablet"] if first == "phone" else ["tablet", "phone"]
    for name in names:
        story.register(name, Form(name))
        story.link(name)
    assert story.states()["phone"] == "active"
    assert story.states()["tablet"] == ("standby" if first == "phone" else "superseded")


@given(st.permutations(range(5)), st.lists(st.sampled_from(Form), min_size=5, max_size=5))
def test_the_order_in_which_links_arrive_does_not_matter(order, forms):
    story = Story()
    for number, form in enumerate(forms):
        story.register(str(number), form)
    for number in order:
        story.link(str(number))
    best = max(range(5), key=lambda number: (forms[number] is Form.PHONE, number))
    assert [name for name, state in story.states().items() if state == "active"] == [str(best)]


def test_what_was_captured_before_a_join_is_told_as_before_the_link():
    story = Story()
    story.register("A")
    story.link("A")
    story.register("B")
    story.link("B")
    assert [span.outcome for span in story.people.spans[install("B")]] == [Outcome.BEFORE_LINK, Outcome.ACCEPTED]


def test_a_used_install_is_refused_by_default():
    story = Story()
    story.register("A")
    story.link("A")
    story.register("B")
    with pytest.raises(errors.CannotLinkExistingPersonToOtherPerson):
        story.link("B", pristine=False)


def test_a_claim_takes_along_what_no_activation_of_the_person_covers():
    story = Story()
    story.register("B")  # at 1 s, active on its own user
    story.register("A")  # at 2 s
    story.link("A")  # Anna is A's user, active from 2 s
    story.tell(Reset(install("A")))  # at 4 s nobody is active any more
    story.register("C")  # at 5 s
    story.link("B", pristine=False, used=UsedInstall.CLAIM)  # at 6 s
    outcomes = [(span.from_ms, span.to_ms, span.outcome.value) for span in story.people.spans[install("B")]]
    assert outcomes == [
        (1000, 2000, "accepted"),
        (2000, 4000, "overlaps"),
        (4000, 6000, "accepted"),
        (6000, None, "accepted"),
    ]


@pytest.mark.parametrize(
    ("floor_ms", "outcomes"),
    [
        (500, ["accepted 1000", "overlaps 2000", "accepted 4000", "accepted 6000"]),
        (1500, ["overlaps 1000", "accepted 1501", "overlaps 2000", "accepted 4000", "accepted 6000"]),
        (3000, ["overlaps 1000", "overlaps 3001", "accepted 4000", "accepted 6000"]),
        (4500, ["overlaps 1000", "accepted 4501", "accepted 6000"]),
        (9999, ["overlaps 1000", "accepted 6000"]),
    ],
)
def test_a_claim_leaves_aside_what_lies_up_to_the_floor_of_the_person(floor_ms, outcomes):
    story = Story()
    story.register("B")  # at 1 s, active on its own user
    story.register("A")
    story.link("A")  # Anna is A's user, active from 2 s
    story.tell(Reset(install("A")))  # to 4 s
    story.register("C")
    story.link("B", pristine=False, used=UsedInstall.CLAIM, floor_ms=floor_ms)  # at 6 s
    spans = story.people.spans[install("B")]
    assert [f"{span.outcome.value} {span.from_ms}" for span in spans] == outcomes
    assert [span.to_ms for span in spans[:-1]] == [span.from_ms for span in spans[1:]]


def test_a_dropped_past_stays_aside():
    story = Story()
    story.register("A")
    story.link("A")
    story.register("B")
    story.link("B", pristine=False, used=UsedInstall.DROP)
    assert [span.outcome for span in story.people.spans[install("B")]] == [Outcome.BEFORE_LINK, Outcome.ACCEPTED]


def test_a_renamed_person_is_found_by_all_its_names_until_the_old_ones_are_released():
    story = Story()
    story.register("A")
    story.link("A")
    story.tell(Renamed(user("A"), ExternalId("anna@new"), release_old=False))
    assert set(story.people.carriers) == {ANNA, "anna@new"}
    story.link("A", "anna@new")  # row 9: the same person
    story.tell(Renamed(user("A"), ExternalId("anna@newest"), release_old=True))
    assert set(story.people.carriers) == {"anna@newest"}


def test_nobody_takes_another_persons_name():
    story = Story()
    story.register("A")
    story.link("A")
    story.register("B")
    story.link("B", "ben")
    with pytest.raises(errors.Conflict):
        story.tell(Renamed(user("B"), ANNA))


def test_when_the_active_install_resets_nobody_follows_by_default():
    story = Story()
    story.register("phone")
    story.link("phone")
    story.register("tablet", Form.TABLET)
    story.link("tablet")
    story.tell(Reset(install("phone")))
    assert story.states() == {"phone": "deleted", "tablet": "standby"}


def test_under_takeover_standby_the_best_of_those_on_standby_follows():
    story = Story(Policy(takeover=Takeover.STANDBY))
    story.register("phone")
    story.link("phone")
    for name in ("tablet1", "tablet2"):
        story.register(name, Form.TABLET)
        story.link(name)
    story.tell(Reset(install("phone")))
    assert story.states() == {"phone": "deleted", "tablet1": "standby", "tablet2": "active"}


def test_an_install_that_is_enabled_again_finds_a_newer_one_in_its_place():
    story = Story()
    story.register("A")
    story.link("A")
    story.tell(Disabled(install("A")))
    story.register("B")
    story.link("B")
    story.tell(Enabled(install("A")))
    assert story.states() == {"A": "superseded", "B": "active"}


def test_a_disabled_user_has_no_activation_and_gets_its_active_install_back():
    story = Story()
    story.register("A")
    story.link("A")
    story.tell(UserDisabled(user("A")))
    assert story.states() == {"A": "disabled"}
    story.tell(UserEnabled(user("A")))
    assert story.states() == {"A": "active"}
    assert story.activations("A") == [(1000, 3000), (4000, None)]


def test_a_fact_does_not_come_before_one_that_names_the_same():
    assert instant(1000, [500, 700]) == 1000
    assert instant(1000, [1000]) == 1001
    assert instant(1000, [500], [2000]) == 2000


FORMS = st.sampled_from(Form)


@st.composite
def histories(draw):
    """Facts that the rules allow, told as they come."""
    story, facts = Story(), []
    for number in range(draw(st.integers(2, 8))):
        said = Registered(install(str(number)), user(str(number)), draw(FORMS))
        story.tell(said)
        facts.append(said)
    for _ in range(draw(st.integers(0, 20))):
        one = install(str(draw(st.integers(0, len(story.people.installs) - 1))))
        said = draw(
            st.sampled_from(
                [
                    Linked(one, ExternalId(draw(st.sampled_from(["anna", "ben"]))), UsedInstall.REFUSE, True),
                    Reset(one),
                    Disabled(one),
                    Enabled(one),
                    Activated(one),
                ]
            )
        )
        trial = Story()
        try:
            for before in [*facts, said]:
                trial.tell(before)
        except errors.Refusal:
            continue
        facts.append(said)
        story = trial
    return story, facts


@given(histories())
def test_at_most_one_install_of_a_user_is_active_at_any_instant(history):
    story, _ = history
    by_user: dict[bytes, list[tuple[int, float]]] = {}
    for spans in story.people.spans.values():
        for span in spans:
            if span.outcome is Outcome.ACCEPTED:
                end = float("inf") if span.to_ms is None else span.to_ms
                by_user.setdefault(span.user_id, []).append((span.from_ms, end))
    for intervals in by_user.values():
        intervals.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(intervals))


@given(histories())
def test_spans_tile_an_installs_life_from_its_registration(history):
    story, _ = history
    for one in story.people.installs.values():
        spans = story.people.spans[one.install_id]
        assert spans[0].from_ms == one.registered_at
        assert spans[-1].to_ms is None
        assert all(a.to_ms == b.from_ms for a, b in itertools.pairwise(spans))
        assert all(span.to_ms is None or span.to_ms > span.from_ms for span in spans)
        assert all(span.user_id == one.user for span in spans)


@given(histories())
def test_folding_the_facts_anew_gives_the_same_people(history):
    story, facts = history
    told = [Fact(FactId(n.to_bytes(12, "big")), n, n * 1000, said) for n, said in enumerate(facts, 1)]
    again = fold(reversed(told), Policy())
    assert again.installs == story.people.installs
    assert again.users == story.people.users
    assert again.spans == story.people.spans


def test_an_activation_is_named_by_user_install_and_beginning():
    story = Story()
    story.register("A")
    span = story.people.spans[install("A")][0]
    assert activation_id(span) == activation_id(span._replace(to_ms=5000))
    assert activation_id(span) != activation_id(span._replace(from_ms=1001))

"""The decision table: every combination of conditions meets one row, and the row that linking.md says."""

from __future__ import annotations

import itertools

import pytest

from unbroken.domain import errors
from unbroken.domain.app import Linking, LinkTicket, UsedInstall
from unbroken.domain.install import State
from unbroken.domain.link import ROWS, Effect, Situation, Ticket, Whose, decide_link

YES_NO = (True, False)
DIMENSIONS = {
    "external_id_is_valid": YES_NO,
    "install_exists": YES_NO,
    "same_app": YES_NO,
    "linking": tuple(Linking),
    "state": tuple(State),
    "whose": tuple(Whose),
    "person_exists": YES_NO,
    "person_is_disabled": YES_NO,
    "is_pristine": YES_NO,
    "used_install": tuple(UsedInstall),
    "ticket": tuple(Ticket),
    "link_ticket": tuple(LinkTicket),
    "is_replayed": YES_NO,
    "links_within_a_day": (0, 19, 20),
}


def every_situation():
    for values in itertools.product(*DIMENSIONS.values()):
        yield Situation(**dict(zip(DIMENSIONS, values, strict=True)))


def told_by_the_page(s):  # noqa: C901, PLR0911, PLR0912 - the page's rows, one after the other, on purpose
    """linking.md read aloud, in other words than the code's."""
    if not s.external_id_is_valid:
        return "1"
    if not s.install_exists:
        return "2"
    if not s.same_app:
        return "3"
    if s.linking == "off":
        return "4"
    if s.state == "deleted":
        return "5"
    if s.state == "disabled":
        return "6"
    if s.whose == Whose.OTHER:
        return "7"
    if s.whose == Whose.SAME:
        return "8" if s.state == "superseded" else "9"
    needs_ticket = s.link_ticket == "required"
    if s.ticket == Ticket.INVALID or (needs_ticket and s.ticket == Ticket.ABSENT):
        return "ticket"
    if s.is_replayed:
        return "attestation"
    if s.links_within_a_day + 1 > 20:
        return "burst"
    if not s.person_exists:
        return "10"
    if s.person_is_disabled:
        return "11"
    if s.is_pristine:
        return "12 (claim)" if s.used_install == "claim" else "12"
    return {"refuse": "13", "claim": "14", "drop": "15"}[s.used_install]


def test_every_combination_of_conditions_meets_the_row_that_the_page_tells():
    met = set()
    for situation in every_situation():
        row = decide_link(situation)
        assert row.number == told_by_the_page(situation), situation
        met.add(row.number)
    assert met == {row.number for row in ROWS}, "a row that nothing meets"


def test_the_row_that_decides_is_the_first_that_holds_and_no_other_answers():
    for situation in itertools.islice(every_situation(), 0, None, 97):
        holding = [row for row in ROWS if row.holds(situation)]
        assert holding[0] is decide_link(situation)


def test_decided_again_by_the_fold_nothing_before_row_5_is_asked():
    situation = Situation(
        external_id_is_valid=False,
        install_exists=False,
        same_app=False,
        linking=Linking.OFF,
        state=State.ACTIVE,
        whose=Whose.NOBODY,
        person_exists=False,
        person_is_disabled=False,
        is_pristine=True,
        used_install=UsedInstall.REFUSE,
    )
    assert decide_link(situation, start="5").answer is Effect.CARRY
    assert decide_link(situation).answer is errors.InvalidExternalId


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_each_row_says_its_condition_in_words(row):
    assert row.condition
    assert isinstance(row.answer, Effect) or issubclass(row.answer, errors.Refusal)

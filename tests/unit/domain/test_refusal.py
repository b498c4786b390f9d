"""Why a link call was refused: every row that refuses has words, and what is told to help does help."""

from __future__ import annotations

import itertools

from unbroken.domain.app import Linking, LinkTicket, UsedInstall
from unbroken.domain.install import State
from unbroken.domain.link import ROWS, Effect, Situation, Ticket, Whose, decide_link
from unbroken.domain.refusal import SENTENCES, inputs_of, otherwise

DIMENSIONS = {
    "linking": (Linking.OFF, Linking.ON),
    "state": tuple(State),
    "whose": tuple(Whose),
    "person_exists": (True, False),
    "person_is_disabled": (True, False),
    "is_pristine": (True, False),
    "used_install": tuple(UsedInstall),
    "ticket": tuple(Ticket),
    "link_ticket": tuple(LinkTicket),
    "links_within_a_day": (0, 20),
}
KNOWN = {"external_id_is_valid": True, "install_exists": True, "same_app": True}


def refused():
    for values in itertools.product(*DIMENSIONS.values()):
        situation = Situation(**KNOWN, **dict(zip(DIMENSIONS, values, strict=True)))
        row = decide_link(situation)
        if isinstance(row.answer, type):
            yield row.number, situation


def names_of(situation):
    return [next(iter(one.change)) for one in otherwise(situation)]


def test_every_row_that_refuses_has_a_sentence():
    assert set(SENTENCES) == {row.number for row in ROWS if not isinstance(row.answer, Effect)}


def test_only_what_stands_in_the_way_is_told_and_where_it_is_one_thing_it_is_told():
    in_the_way = {
        "4": {"linking"}, "5": {"install"}, "6": {"state", "install"}, "7": {"whose", "install"},
        "8": {"state", "install"}, "ticket": {"ticket", "link_ticket"}, "burst": {"link_burst"},
        "11": {"person_is_disabled"}, "13": {"is_pristine", "install", "used_install"},
    }  # fmt: skip
    told = {number: set() for number in in_the_way}
    for number, situation in refused():
        assert set(names_of(situation)) <= in_the_way[number]
        told[number] |= set(names_of(situation))
    assert told == in_the_way


def test_of_two_things_in_the_way_neither_alone_is_said_to_help():
    (situation,) = {
        situation
        for number, situation in refused()
        if number == "11"
        and situation
        == Situation(
            **KNOWN,
            linking=Linking.ON,
            state=State.ACTIVE,
            whose=Whose.NOBODY,
            person_exists=True,
            person_is_disabled=True,
            is_pristine=False,
            used_install=UsedInstall.REFUSE,
        )
    }
    assert otherwise(situation) == []


def test_an_external_id_that_is_not_valid_is_all_that_was_looked_at():
    _, situation = next(refused())
    invalid = Situation(
        **{**{name: getattr(situation, name) for name in DIMENSIONS}, **KNOWN, "external_id_is_valid": False}
    )
    assert inputs_of(invalid) == {"external_id_is_valid": False}
    assert otherwise(invalid) == []

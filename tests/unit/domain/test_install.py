"""An install's form and its states."""

from __future__ import annotations

import itertools

import pytest

from unbroken.domain import errors
from unbroken.domain.install import TRANSITIONS, Event, Form, Rule, State, form_of, next_state


@pytest.mark.parametrize(
    ("platform", "screen_inches", "idiom", "model", "form"),
    [
        ("android", 6.99, None, None, Form.PHONE),
        ("android", 7.0, None, None, Form.TABLET),
        ("android", 12.9, "phone", "iPad", Form.TABLET),
        ("android", None, "pad", "iPad", Form.PHONE),
        ("ios", 12.9, "phone", "iPhone17,1", Form.PHONE),
        ("ios", None, "pad", None, Form.TABLET),
        ("ios", 6.1, None, "iPad14,2", Form.TABLET),
        ("ios", None, None, None, Form.PHONE),
        ("other", 40.0, "pad", "iPad", Form.PHONE),
    ],
)
def test_the_form_follows_from_the_facts_and_what_is_not_known_to_be_a_tablet_is_a_phone(
    platform, screen_inches, idiom, model, form
):
    assert form_of(platform, screen_inches, idiom, model) is form


def test_every_state_meets_every_event():
    assert set(TRANSITIONS) == set(itertools.product(State, Event))


def test_a_deleted_install_never_lives_again():
    for event in Event:
        answer = TRANSITIONS[State.DELETED, event]
        assert answer is State.DELETED or answer is errors.InstallDeleted


def test_only_a_disabled_install_asks_for_a_rule():
    assert [key for key, answer in TRANSITIONS.items() if isinstance(answer, Rule)] == [(State.DISABLED, Event.ENABLED)]


def test_activating_a_disabled_install_is_a_conflict():
    with pytest.raises(errors.Conflict):
        next_state(State.DISABLED, Event.ACTIVATED)

"""External ids as they rest: readable with the key alone, alike for one app, and proof against every change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.sealing import KEY_BYTES, KeyMissing, KeyRing, NotSealed

APP, OTHER_APP = b"a" * 12, b"b" * 12
ONE, TWO = b"1" * KEY_BYTES, b"2" * KEY_BYTES
RING = KeyRing({1: ONE, 2: TWO})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)


@given(TEXTS)
def test_what_was_sealed_is_opened(text):
    assert RING.open(APP, RING.seal(1, APP, text)) == text
    assert RING.open(APP, RING.seal(2, APP, text)) == text


def test_one_id_of_an_app_has_one_sealed_text_under_a_key():
    assert RING.seal(1, APP, "anna") == KeyRing({1: ONE}).seal(1, APP, "anna")
    assert len({RING.seal(number, app, "anna") for number in (1, 2) for app in (APP, OTHER_APP)}) == 4


def test_the_text_of_another_app_does_not_open():
    with pytest.raises(NotSealed):
        RING.open(OTHER_APP, RING.seal(1, APP, "anna"))


def test_every_changed_character_is_noticed():
    text = RING.seal(2, APP, "anna@example.org")
    for place in range(len(text)):
        for other in "A-_x=2.":
            changed = text[:place] + other + text[place + 1 :]
            if changed != text:
                with pytest.raises((NotSealed, KeyMissing)):
                    RING.open(APP, changed)


@pytest.mark.parametrize("text", ["anna", "", "s1.", "s0.AAAA", "s1.é", "s1.AAAA", "s01.AAAA", "s1.A\n"])
def test_what_was_never_sealed_does_not_open(text):
    with pytest.raises(NotSealed):
        RING.open(APP, text)


def test_a_document_opens_for_its_owner_only():
    sealed = RING.seal_body(1, APP, b'{"external_id":"anna"}')
    assert b"anna" not in sealed
    assert RING.open_body(APP, sealed) == b'{"external_id":"anna"}'
    for owner, body in ((OTHER_APP, sealed), (APP, sealed[:-1]), (APP, b"{}"), (APP, b"s1.")):
        with pytest.raises(NotSealed):
            RING.open_body(owner, body)
    assert RING.open_body(APP, RING.seal_body(1, APP, b"")) == b""


def test_a_key_that_came_later_is_learned_when_it_is_met_and_another_is_named_as_missing():
    there = {1: ONE}
    ring = KeyRing(there, lambda: there)
    text = RING.seal(2, APP, "anna")
    with pytest.raises(KeyMissing) as missing:
        ring.open(APP, text)
    assert missing.value.number == 2
    there[2] = TWO
    assert ring.open(APP, text) == "anna"
    assert ring.newest == 2


def test_a_key_is_told_from_another_by_a_mark_that_does_not_tell_it():
    assert RING.mark(1) == KeyRing({1: ONE}).mark(1)
    assert RING.mark(1) != RING.mark(2)
    assert RING.mark(1) not in ONE
    assert repr(RING) == "KeyRing([1, 2])"

"""Ids at the edge, and external ids (linking.md, row 1)."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from unbroken.domain.ids import PLACEHOLDERS, parse_external_id, parse_id


@pytest.mark.parametrize(
    "text", ["", "a" * 23, "a" * 25, "A" * 24, "g" * 24, " " + "a" * 23, "a" * 23 + "\n", "١" * 24]
)
def test_what_is_not_24_lowercase_hex_characters_is_no_id(text):
    assert parse_id(text) is None


def test_an_id_is_12_bytes():
    assert parse_id("5e6c4f237ce4bf06000000d1") == bytes.fromhex("5e6c4f237ce4bf06000000d1")


@pytest.mark.parametrize(
    "text",
    ["", " ", "\t", "a\x00b", "a\nb", "\ud800", "x" * 256, "null", "NULL", "Undefined", "none", "Anonymous", "guest",
     "unknown", "0", "-1", "[object Object]", "000", "0-0-0", "---", "00000000-0000-0000-0000-000000000000"],
)  # fmt: skip
def test_placeholders_and_unprintable_texts_are_no_external_ids(text):
    assert parse_external_id(text, PLACEHOLDERS) is None


def test_every_control_character_and_half_a_surrogate_pair_is_refused_and_no_other_character():
    for character in map(chr, range(sys.maxunicode + 1)):
        is_refused = parse_external_id(f"a{character}b", ()) is None
        assert is_refused == (unicodedata.category(character) in {"Cc", "Cs"}), hex(ord(character))


@pytest.mark.parametrize(
    "text", ["anna", "Anna", "anna@example.com", "10", "-10", "x" * 255, " anna ", "ünïcödé", "🙂"]
)
def test_everything_else_is_one_and_stays_as_it_is(text):
    assert parse_external_id(text, PLACEHOLDERS) == text


def test_external_ids_are_compared_in_nfc():
    assert parse_external_id("é", ()) == parse_external_id("é", ())

"""Instants as they are written and read: what came in goes out the same, to the end of the calendar."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from unbroken import wire

END_MS = 253_402_300_799_999
EAST = timezone(timedelta(hours=14))


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00.000+00:00", "9999-12-31T23:59:59.999+00:00"])
def test_the_first_and_the_last_instant_are_told_as_they_were_given(text):
    at_ms = wire.parse_iso(text)
    assert at_ms is not None
    assert wire.iso(at_ms) == text


def test_the_end_of_the_calendar_of_a_zone_is_told_where_it_has_no_other_words():
    assert wire.iso(END_MS, EAST) == "9999-12-31T23:59:59.999+14:00"
    assert wire.iso(END_MS - 14 * 3_600_000, EAST) == "9999-12-31T23:59:59.999+14:00"
    assert wire.iso(END_MS - 14 * 3_600_000 - 1, EAST) == "9999-12-31T23:59:59.998+14:00"


def test_an_instant_after_the_calendar_is_told_as_its_end():
    assert wire.iso(END_MS + 86_400_000) == "9999-12-31T23:59:59.999+00:00"


@pytest.mark.parametrize("text", ["2026-11-23", "2026-11-23T21:12:54", "1969-12-31T23:59:59.999Z", "now", ""])
def test_what_has_no_offset_or_is_no_instant_of_ours_is_none(text):
    assert wire.parse_iso(text) is None

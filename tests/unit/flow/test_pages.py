"""Cursors mean nothing to the caller, and a forged one is a clear refusal."""

from __future__ import annotations

import base64

import pytest

from unbroken.domain.errors import InvalidRequest
from unbroken.flow.pages import read_cursor, write_cursor


def test_a_cursor_is_read_as_it_was_written():
    assert read_cursor(write_cursor(7, "x"), int, str) == (7, "x")
    assert read_cursor(None, int) is None


@pytest.mark.parametrize("cursor", ["", "!", "é", "AAAA", write_cursor("x"), write_cursor(1, 2), write_cursor(2**63)])
def test_what_is_no_cursor_of_the_list_is_refused(cursor):
    with pytest.raises(InvalidRequest):
        read_cursor(cursor, int)


def test_a_truth_value_is_no_number():
    with pytest.raises(InvalidRequest):
        read_cursor(base64.urlsafe_b64encode(b"[true]").decode(), int)

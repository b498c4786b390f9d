"""The closed tree of refusals."""

from __future__ import annotations

import pytest

from unbroken.domain import errors


def test_every_leaf_has_a_code_and_a_sentence():
    for leaf in errors.leaves():
        assert leaf.code.isupper()
        assert leaf().message.endswith((".", "anew."))


def test_a_code_names_one_leaf_but_for_the_two_ways_of_being_deleted():
    codes = [leaf.code for leaf in errors.leaves()]
    assert {code for code in codes if codes.count(code) > 1} == {"INSTALL_DELETED"}


@pytest.mark.parametrize("leaf", list(errors.leaves()), ids=lambda leaf: leaf.__name__)
def test_a_client_rebuilds_the_leaf_from_code_and_status(leaf):
    status = 410 if leaf is errors.InstallGone else 403
    assert errors.by_code(leaf.code, status) is leaf

from __future__ import annotations

import pytest

from unbroken import wire
from unbroken.backend import errors
from unbroken.domain import errors as refusals

LEAVES = list(refusals.leaves())


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: f"{leaf.code}-{leaf.__name__}")
def test_each_refusal_of_the_platform_has_one_class_of_its_name_here(leaf):
    status = 410 if leaf is refusals.InstallGone else 403
    error = errors.refusal(status, wire.Problem("No.", leaf.code, "ref-1"))
    assert type(error).__name__ == leaf.__name__
    assert isinstance(error, errors.PlatformError)
    assert isinstance(error, errors.LinkRefused) == issubclass(leaf, refusals.LinkRefused)
    assert isinstance(error, errors.NotNow) == issubclass(leaf, refusals.NotNow)


def test_there_is_no_class_beyond_the_platforms_refusals():
    branches = {"LinkRefused", "NotNow"}
    assert set(errors._BY_NAME) - branches == {leaf.__name__ for leaf in LEAVES}


def test_a_refusal_says_everything_that_the_platform_said():
    problem = wire.Problem("No.", "INVALID_REQUEST", "ref-1", "Do it so.", [wire.ErrorDetail("$.x", "is bad")])
    error = errors.refusal(400, problem, retry_after_s=9)
    assert (error.status, error.code, error.ref, error.hint) == (400, "INVALID_REQUEST", "ref-1", "Do it so.")
    assert (error.message, error.details, error.retry_after_s) == ("No.", (("$.x", "is bad"),), 9)
    assert str(error) == "INVALID_REQUEST: No. $.x: is bad Do it so. (ref ref-1)"


def test_a_code_of_a_newer_platform_is_still_a_refusal_with_its_code_and_ref():
    error = errors.refusal(418, wire.Problem("I am a teapot.", "TEAPOT", "ref-1"))
    assert type(error) is errors.PlatformError
    assert (error.status, error.code, error.ref) == (418, "TEAPOT", "ref-1")


def test_a_whole_branch_can_be_caught():
    with pytest.raises(errors.LinkRefused):
        raise errors.refusal(403, wire.Problem("No.", "USER_DISABLED", "ref-1"))

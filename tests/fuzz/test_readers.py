"""A seeded sample, and a million, of changed inputs for the readers of what strangers send the platform."""

from __future__ import annotations

import os

import pytest
from tests.fuzz.mutation import fuzz
from tests.fuzz.targets_readers import targets

FEW = 2_000
MANY = int(os.environ.get("UNBROKEN_FUZZ_INPUTS", "1000000"))


def assert_bears(name, count):
    chosen = targets()[name]()
    for seed in chosen.seeds:
        chosen.run(seed)
    result = fuzz(chosen, seed=1, count=count)
    assert result.failure is None, f"{name} raised {result.failure!r} for {result.failed_on!r}"


@pytest.mark.parametrize("name", targets())
def test_a_reader_raises_what_it_declares_and_nothing_else(name):
    assert_bears(name, FEW)


@pytest.mark.prove
@pytest.mark.parametrize("name", targets())
def test_a_million_inputs_do_not_change_that(name):
    assert_bears(name, MANY)

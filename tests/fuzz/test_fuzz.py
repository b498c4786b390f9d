"""A seeded sample of what `python -m tests.fuzz` does for hours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.fuzz import attestation
from tests.fuzz.mutation import fuzz
from tests.fuzz.table import Target, target, targets

COUNT = 400
MANY = int(os.environ.get("UNBROKEN_FUZZ_INPUTS", "1000000"))
SLOW = {"android-key": 10, "signed-by-genuine": 10, "attested-data": 10}
"""How many times fewer: each input costs several signatures."""


@pytest.mark.parametrize("name", sorted(targets()))
def test_a_reader_bears_its_seeds_and_a_sample_of_changes(name):
    chosen = target(name)
    for seed in chosen.seeds:
        chosen.run(seed)
    result = fuzz(chosen, seed=1, count=COUNT)
    assert result.failure is None, f"{result.failed_on!r}: {result.failure!r}"
    assert result.tried == COUNT


@pytest.mark.prove
@pytest.mark.parametrize("name", sorted(attestation.targets()))
def test_ten_million_changed_proofs_raise_what_is_declared_and_none_is_taken(name):
    """A million for each reader, so ten million and more over all of them."""
    result = fuzz(target(name), seed=2, count=MANY // SLOW.get(name, 1))
    assert result.failure is None, f"{result.failed_on!r}: {result.failure!r}"


def test_a_fault_is_found_from_a_seed_and_told():
    def run(data):
        assert data[:4] != b"\x30\x04\x02\xff"

    result = fuzz(Target(run, [b"\x30\x04\x02\x01\x05"]), seed=1, count=100_000)
    assert isinstance(result.failure, AssertionError)
    assert result.failed_on[:4] == b"\x30\x04\x02\xff"


def test_one_seed_makes_one_run():
    tried = [[], []]
    for inputs in tried:
        fuzz(Target(inputs.append, [b"abcdef"]), seed=5, count=200)
    assert tried[0] == tried[1]
    assert len(set(tried[0])) > 100


def test_the_command_names_its_readers_and_runs_one():
    command = [sys.executable, "-m", "tests.fuzz"]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == set(targets())
    words = [*command, "cbor", "--engine", "mutation", "--seconds", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "inputs in 1 s" in done.stdout

"""Eight processes link, undo, reset and read at once while servers are killed; what they saw has one order."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from random import Random  # noqa: TID251 - seeded, so that the same answers can be changed again
from typing import TYPE_CHECKING

import pytest
from tests.model.linearizability.checker import Undecided, check
from tests.model.linearizability.deployment import DEPLOYMENTS
from tests.model.linearizability.mutation import flipped
from tests.model.linearizability.operations import write
from tests.model.linearizability.run import Run, callers
from tests.model.linearizability.telling import explanation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLIPS = 5
FLIP_STEPS = 20_000

each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes a database on a server that is started when it is first needed."""
    return lambda: request.getfixturevalue("schemas").create()


@each_deployment
def test_concurrent_histories_have_one_order(name: str, tmp_path: Path, new_database: Callable[[], str]) -> None:
    run_and_check(name, tmp_path, new_database, runs=3)


@pytest.mark.prove
@each_deployment
def test_two_hundred_concurrent_histories_have_one_order(
    name: str, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    runs = int(os.environ.get("UNBROKEN_RUNS", "200"))
    seen = run_and_check(name, tmp_path, new_database, runs)
    print(
        f"\n{name}: {runs} histories have one order; " + ", ".join(f"{what}: {n}" for what, n in sorted(seen.items()))
    )


def run_and_check(name: str, tmp_path: Path, new_database: Callable[[], str], runs: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    with DEPLOYMENTS[name](tmp_path, new_database) as deployment, callers() as processes:
        for seed in range(runs):
            run = processes.run(deployment, tmp_path, seed)
            kept = tmp_path / f"history-{seed}.jsonl"
            write(kept, run.history)
            verdict = check(run.history)
            assert verdict.is_linearizable, f"run {seed}, kept in {kept}: {explanation(run.history)}"
            count(seen, run, verdict.steps)
            count_flips(seen, run, Random(seed))
    share = seen["flips rejected"] / seen["flips"]
    assert share > 0.6, f"of {seen['flips']} histories with one answer changed, {share:.0%} were rejected"
    return seen


def count_flips(seen: Counter[str], run: Run, random: Random) -> None:
    """A checker that accepts anything would accept these, too."""
    for _ in range(FLIPS):
        seen["flips"] += 1
        with suppress(Undecided):
            seen["flips rejected"] += not check(flipped(run.history, random), FLIP_STEPS).is_linearizable


def count(seen: Counter[str], run: Run, steps: int) -> None:
    seen["steps"] += steps
    seen["most steps"] = max(seen["most steps"], steps)
    seen.update(fault.kind for fault in run.faults)
    for operation in run.history:
        outcome = "no answer" if operation.answer is None else str(operation.answer.status)
        code = "" if operation.answer is None else operation.answer.told.get("code", "")
        seen[f"{operation.kind} {outcome} {code}".strip()] += 1

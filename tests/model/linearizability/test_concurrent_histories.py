"""Eight processes link, undo, reset and read at once while servers are killed; what they saw has one order."""

from __future__ import annotations

import os
from collections import Counter
from math import sqrt
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
    from pathlib import Path

FLIPS = 5
MEASURED_SHARE = 0.964
"""Of 1,350 histories with one answer changed, on two APIs with PostgreSQL, 1,302 were rejected."""
FLIP_STEPS = 20_000

each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


@each_deployment
def test_concurrent_histories_have_one_order(name: str, tmp_path: Path) -> None:
    run_and_check(name, tmp_path, range(3))


@pytest.mark.prove
@each_deployment
def test_two_hundred_concurrent_histories_have_one_order(name: str, tmp_path: Path) -> None:
    first, runs = int(os.environ.get("UNBROKEN_RUN", "0")), int(os.environ.get("UNBROKEN_RUNS", "200"))
    seen = run_and_check(name, tmp_path, range(first, first + runs))
    told = ", ".join(f"{what}: {n}" for what, n in sorted(seen.items()))
    print(f"\n{name}: {runs} histories have one order; {told}")


def run_and_check(name: str, tmp_path: Path, seeds: range) -> Counter[str]:
    """Every history is judged, also when one before it was rejected; all that were are told at the end."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    with DEPLOYMENTS[name](tmp_path) as deployment, callers() as processes:
        for seed in seeds:
            run = processes.run(deployment, tmp_path, seed)
            seen.update(f"{fault.kind} {deployment.victims[fault.victim].name}" for fault in run.faults)
            count(seen, run)
            wrong += judge(seen, run, seed, tmp_path / f"history-{seed}.jsonl")
    assert not wrong, f"{len(wrong)} of {len(seeds)} histories: " + "\n\n".join(wrong)
    share = seen["flips rejected"] / seen["flips"]
    assert share >= least_share(seen["flips"]), f"of {seen['flips']} histories with one answer changed, {share:.1%}"
    return seen


def least_share(flips: int) -> float:
    """How many must be rejected: seven standard deviations below what was measured, as few are a small sample."""
    return MEASURED_SHARE - 7 * sqrt(MEASURED_SHARE * (1 - MEASURED_SHARE) / flips)


def judge(seen: Counter[str], run: Run, seed: int, kept: Path) -> list[str]:
    """What is wrong with the history of a run, which is kept then."""
    try:
        verdict = check(run.history)
        wrong = [] if verdict.is_linearizable else [explanation(run.history)]
        seen["steps"] += verdict.steps
        seen["most steps"] = max(seen["most steps"], verdict.steps)
    except Undecided as error:
        wrong = [str(error)]
    if wrong:
        write(kept, run.history)
        return [f"run {seed}, kept in {kept}: {wrong[0]}"]
    count_flips(seen, run, Random(seed))
    return []


def count_flips(seen: Counter[str], run: Run, random: Random) -> None:
    """A checker that accepts anything would accept these, too."""
    for _ in range(FLIPS):
        seen["flips"] += 1
        try:
            seen["flips rejected"] += not check(flipped(run.history, random), FLIP_STEPS).is_linearizable
        except Undecided:
            seen["flips given up"] += 1


def count(seen: Counter[str], run: Run) -> None:
    seen["runs with faults"] += bool(run.faults)
    for operation in run.history:
        outcome = "no answer" if operation.answer is None else str(operation.answer.status)
        code = "" if operation.answer is None else operation.answer.told.get("code", "")
        seen[f"{operation.kind} {outcome} {code}".strip()] += 1

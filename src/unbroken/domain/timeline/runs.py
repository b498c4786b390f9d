"""Runs: a trip's bins, joined where neighbours are of one kind, and kept to a bounded number."""

from __future__ import annotations

from unbroken.domain.timeline.pieces import MOVES, Run
from unbroken.domain.timeline.policy import MAX_RUNS


def add_run(runs: list[Run], run: Run) -> None:
    """Append a run, in place; an instant adds nothing to the time and is dropped."""
    if run.end_ms <= run.start_ms:
        return
    if runs and runs[-1].kind == run.kind:
        runs[-1].absorb(run)
        return
    runs.append(run)
    if len(runs) > MAX_RUNS:
        _condense(runs)


def _condense(runs: list[Run]) -> None:
    """Join the shortest run but the last with the longer of its neighbours, and keep kinds alternating."""
    at = min(range(len(runs) - 1), key=lambda i: (runs[i].kind not in MOVES, runs[i].duration_ms, i))
    join_neighbour(runs, at)


def join_neighbour(runs: list[Run], at: int) -> None:
    """Give run `at` to its longer neighbour of movement, or to its longer neighbour where there is none, in place."""
    beside = [i for i in (at - 1, at + 1) if 0 <= i < len(runs)]
    into = max(beside, key=lambda i: (runs[i].kind in MOVES, runs[i].duration_ms, -i))
    kind, left = runs[into].kind, min(at, into)
    runs[left].absorb(runs.pop(left + 1))
    runs[left].kind = kind
    if left + 1 < len(runs) and runs[left + 1].kind == kind:
        runs[left].absorb(runs.pop(left + 1))
    if left and runs[left - 1].kind == kind:
        runs[left - 1].absorb(runs.pop(left))

"""Legs: a trip's runs, smoothed into walks and rides, each with its mode."""

from __future__ import annotations

from unbroken.domain.timeline.modes import Guess, guess
from unbroken.domain.timeline.pieces import MOVES, Kind, Run
from unbroken.domain.timeline.policy import EDGE_MIN_MS, FAST_MIN_MS, HALT_MPS, SLOW_MIN_MS, STAY_MIN_MS
from unbroken.domain.timeline.runs import add_run, join_neighbour


def legs_of(runs: list[Run], *, waited: bool) -> list[tuple[Run, Guess | None]]:
    """The legs in order, with no two neighbours alike. `waited`: the trip left from a stay. None: not a movement."""
    smooth = _smooth(_felt([run.copy() for run in runs]))
    legs: list[tuple[Run, Guess | None]] = []
    for at, run in enumerate(smooth):
        told = guess(smooth, at, waited=waited) if run.kind in MOVES else None
        if legs and _alike(legs[-1], run, told):
            legs[-1][0].absorb(run)
        else:
            legs.append((run, told))
    return legs


def _felt(runs: list[Run]) -> list[Run]:
    """A slow run in which the phone mostly felt a ride is a ride that waits: a queue, lights, a station."""
    felt: list[Run] = []
    for run in runs:
        if run.kind is Kind.SLOW and (run.vote_ms[3] + run.vote_ms[4]) * 2 > run.duration_ms:
            run.kind = Kind.FAST
        add_run(felt, run)
    return felt


def _alike(before: tuple[Run, Guess | None], run: Run, told: Guess | None) -> bool:
    piece, guessed = before
    if guessed is None or told is None:
        return piece.kind == run.kind
    return guessed.mode == told.mode


def _smooth(runs: list[Run]) -> list[Run]:
    """Join runs too short to be a leg, the shortest first (Zheng 2010)."""
    while short := [(run.duration_ms, at) for at, run in enumerate(runs) if _too_short(runs, at)]:
        join_neighbour(runs, min(short)[1])
    return runs


def _too_short(runs: list[Run], at: int) -> bool:
    run = runs[at]
    beside = [runs[i].kind in MOVES for i in (at - 1, at + 1) if 0 <= i < len(runs)]
    if run.kind not in MOVES or not any(beside):
        return False
    if run.kind is Kind.SLOW and run.way_dm * 100 < HALT_MPS * run.duration_ms:
        return run.duration_ms < STAY_MIN_MS
    least_ms = FAST_MIN_MS if run.kind is Kind.FAST else SLOW_MIN_MS
    return run.duration_ms < (least_ms if beside == [True, True] else EDGE_MIN_MS)

"""One cleaned fix onward: the stay goes on, is left, or the end of a trip turns out to be the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.timeline.candidate import centre, confirm, flush_all, forget_trip, gather, open_bin, settle
from unbroken.domain.timeline.geo import distance_m
from unbroken.domain.timeline.pieces import MOVES, Halt, Kind, Run
from unbroken.domain.timeline.policy import (
    HOP_MAX_MS,
    HOP_MIN_MPS,
    NEAR_M,
    RETURN_MAX_M,
    RETURN_MAX_MS,
    SILENCE_MS,
    SILENCE_STAY_MPS,
    STAY_MIN_MS,
    STAY_RADIUS_M,
    VOTES,
    WALK_MPS,
)
from unbroken.domain.timeline.runs import add_run

if TYPE_CHECKING:
    from unbroken.domain.timeline.event import Event
    from unbroken.domain.timeline.state import Spot, State

_AWAY_M = 10**9
"""`far_m` of a trip that is never taken for the wander of fixes around the stay before it."""


def advance(state: State, spot: Spot, closed: list[Event]) -> None:
    """Go on to `spot`, in place; events that are closed by it are appended to `closed`."""
    last = state.last
    if last is None:
        _begin(state, spot)
    elif state.quiet_ms >= 0:
        _after_quiet(state, spot, last)
    elif spot.at_ms - last.at_ms >= SILENCE_MS:
        _after_silence(state, spot, last, closed)
    elif state.halt is not None and not state.bins:
        _at_halt(state, state.halt, spot)
    else:
        _wander(state, spot, closed)
    state.last, state.quiet_ms, state.votes = spot, -1, [0] * len(VOTES)


def _begin(state: State, spot: Spot) -> None:
    """The first fix, or the first one after nothing is known."""
    state.from_lat, state.from_lon = spot.lat, spot.lon
    open_bin(state, spot, spot.at_ms)


def _at_halt(state: State, halt: Halt, spot: Spot) -> None:
    away_m = distance_m(halt.mean_lat, halt.mean_lon, spot.lat, spot.lon)
    if away_m <= NEAR_M:
        _stay_on(state, halt, spot)
    else:
        _leave(state, halt, spot, away_m)


def _stay_on(state: State, halt: Halt, spot: Spot) -> None:
    halt.add(spot.lat, spot.lon)
    halt.end_ms = spot.at_ms
    halt.sources |= state.fresh


def _leave(state: State, halt: Halt, spot: Spot, away_m: float) -> None:
    """Open a trip that left as late as its first fix allows."""
    left_ms = spot.at_ms - int(away_m * 1000 / max(WALK_MPS, spot.speed_mps))
    halt.end_ms = max(halt.end_ms, halt.start_ms + STAY_MIN_MS, left_ms)
    state.far_m = round(away_m)
    state.from_lat, state.from_lon = halt.mean_lat, halt.mean_lon
    open_bin(state, spot, halt.end_ms)


def _wander(state: State, spot: Spot, closed: list[Event]) -> None:
    """Go on with a trip, unless it only comes back to the stay that it left."""
    halt = state.halt
    if halt is not None:
        away_m = distance_m(halt.mean_lat, halt.mean_lon, spot.lat, spot.lon)
        state.far_m = max(state.far_m, round(away_m))
        if away_m <= NEAR_M and state.far_m <= RETURN_MAX_M and spot.at_ms - halt.end_ms <= RETURN_MAX_MS:
            forget_trip(state, halt)
            _stay_on(state, halt, spot)
            return
    gather(state, spot)
    settle(state, spot, closed)


def _after_silence(state: State, spot: Spot, last: Spot, closed: list[Event]) -> None:
    """Phones go quiet when they lie still: a silence after which the person is not far was a stay."""
    halt = state.halt if not state.bins else None
    lat, lon = centre(state.bins) if halt is None else (halt.mean_lat, halt.mean_lon)
    away_m, silent_ms = distance_m(lat, lon, spot.lat, spot.lon), spot.at_ms - last.at_ms
    rate_mps = away_m * 1000 / silent_ms
    if away_m <= STAY_RADIUS_M:
        _silent_near(state, halt, spot, closed)
    elif rate_mps < (SILENCE_STAY_MPS if halt is None else WALK_MPS):
        halt = halt or confirm(state, 0, closed)
        halt.inferred = True
        _leave(state, halt, spot, distance_m(halt.mean_lat, halt.mean_lon, spot.lat, spot.lon))
    elif silent_ms > HOP_MAX_MS and rate_mps < HOP_MIN_MPS:
        _lose(state, spot, last.at_ms if halt is None else halt.end_ms)
    elif halt is not None:
        _leave(state, halt, spot, away_m)
    else:
        _wander(state, spot, closed)


def _silent_near(state: State, halt: Halt | None, spot: Spot, closed: list[Event]) -> None:
    if halt is not None:
        halt.inferred = True
        _stay_on(state, halt, spot)
    else:
        _wander(state, spot, closed)


def _after_quiet(state: State, spot: Spot, last: Spot) -> None:
    """A day without any item: nothing is claimed about it, and nothing joins what lies on its sides."""
    if state.halt is not None and not state.bins:
        state.halt.end_ms = max(state.halt.end_ms, state.quiet_ms)
        _lose(state, spot, state.halt.end_ms)
    else:
        _lose(state, spot, last.at_ms)


def _lose(state: State, spot: Spot, lost_ms: int) -> None:
    """The person is off the grid from `lost_ms` to the fix, where all begins anew."""
    moved = state.halt is not None if not state.runs else state.runs[-1].kind in MOVES
    flush_all(state, None if moved else Kind.UNKNOWN)
    off = Run(Kind.OFF_GRID, lost_ms, spot.at_ms, spot.lat, spot.lon, state.fresh, state.fresh_source)
    add_run(state.runs, off)
    state.far_m = _AWAY_M
    _begin(state, spot)

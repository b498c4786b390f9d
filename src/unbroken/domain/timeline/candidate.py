"""The candidate: the end of a trip, as long as it may turn out to be a stay. Bins not near it move into the trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.timeline.geo import distance_m, short_way
from unbroken.domain.timeline.pieces import Bin, Halt, Kind, Run
from unbroken.domain.timeline.policy import (
    BIN_MS,
    FAST_MPS,
    IMPOSSIBLE_MPS,
    MAX_BINS,
    NEAR_M,
    RETURN_MAX_M,
    SAME_PLACE_M,
    SILENCE_MS,
    STAY_MIN_MS,
    STAY_RADIUS_M,
    TUNNEL_MS,
    VOTES,
)
from unbroken.domain.timeline.runs import add_run
from unbroken.domain.timeline.tell import told

if TYPE_CHECKING:
    from unbroken.domain.timeline.event import Event
    from unbroken.domain.timeline.state import Spot, State


def gather(state: State, spot: Spot) -> None:
    """Take the fix into the candidate; bins that are too far from it, or too many, move on into the trip."""
    bins = state.bins
    edge_ms = bins[-1].end_ms
    while bins:
        lat, lon = centre(bins)
        if distance_m(lat, lon, spot.lat, spot.lon) <= STAY_RADIUS_M and len(bins) < MAX_BINS:
            break
        _flush(state, bins.pop(0))
    if not bins or spot.at_ms - bins[-1].start_ms > BIN_MS:
        open_bin(state, spot, edge_ms)
    else:
        _add(bins[-1], spot, state)


def open_bin(state: State, spot: Spot, start_ms: int) -> None:
    """A new bin, whose way to its first fix began at `start_ms`."""
    silent_ms = spot.at_ms - start_ms
    state.bins.append(
        Bin(
            start_ms=start_ms,
            first_ms=spot.at_ms,
            end_ms=spot.at_ms,
            lat=spot.lat,
            lon=spot.lon,
            sources=state.fresh,
            source=state.fresh_source,
            silent_ms=silent_ms if silent_ms >= TUNNEL_MS else 0,
            vote_ms=state.votes,
        )
    )


def _add(piece: Bin, spot: Spot, state: State) -> None:
    piece.end_ms = spot.at_ms
    piece.count += 1
    piece.sum_lat += spot.lat - piece.lat
    piece.sum_lon += short_way(spot.lon - piece.lon)
    piece.last_lat, piece.last_lon = spot.lat, spot.lon
    piece.sources |= state.fresh
    piece.vote_ms = [a + b for a, b in zip(piece.vote_ms, state.votes, strict=True)]


def centre(bins: list[Bin]) -> tuple[int, int]:
    """The mean of the fixes of some bins."""
    first = bins[0]
    lat, lon, count = first.sum_lat, first.sum_lon, first.count
    for piece in bins[1:]:
        count += piece.count
        lat += piece.sum_lat + (piece.lat - first.lat) * piece.count
        lon += piece.sum_lon + short_way(piece.lon - first.lon) * piece.count
    return first.lat + lat // count, short_way(first.lon + lon // count)


def flush_all(state: State, kind: Kind | None = None) -> None:
    """Move the whole candidate into the trip, as runs of `kind` if it is given."""
    while state.bins:
        _flush(state, state.bins.pop(0), kind)


def _flush(state: State, piece: Bin, kind: Kind | None = None) -> None:
    _move(state, piece, piece.end_ms, (piece.last_lat, piece.last_lon), piece.vote_ms, kind)


def _move(
    state: State, piece: Bin, end_ms: int, to: tuple[int, int], vote_ms: list[int], kind: Kind | None = None
) -> None:
    """Add the way of a bin, up to a point and an instant of it, to the trip."""
    if end_ms > piece.start_ms:
        way_m = distance_m(state.from_lat, state.from_lon, *to)
        kind = _kind(way_m * 1000 / (end_ms - piece.start_ms)) if kind is None else kind
        run = Run(kind, piece.start_ms, piece.start_ms, state.from_lat, state.from_lon, piece.sources, piece.source)
        run.step(end_ms, way_m, piece.silent_ms, vote_ms)
        add_run(state.runs, run)
    state.from_lat, state.from_lon = to


def _kind(speed_mps: float) -> Kind:
    if speed_mps > IMPOSSIBLE_MPS:
        return Kind.UNKNOWN
    return Kind.FAST if speed_mps > FAST_MPS else Kind.SLOW


def settle(state: State, spot: Spot, closed: list[Event]) -> None:
    """Confirm the candidate when, without the arrival at its front, it has lasted long enough."""
    if spot.at_ms - state.bins[0].first_ms < STAY_MIN_MS:
        return
    at = settled_at(state.bins)
    if spot.at_ms - state.bins[at].first_ms >= STAY_MIN_MS:
        confirm(state, at, closed)


def settled_at(bins: list[Bin]) -> int:
    """The index of the first bin that is near where the candidate has come to rest."""
    lat, lon = centre(bins[len(bins) // 2 :])
    for at, piece in enumerate(bins):
        if distance_m(*centre([piece]), lat, lon) <= NEAR_M:
            return at
    return len(bins) - 1


def confirm(state: State, at: int, closed: list[Event]) -> Halt:
    """Turn the candidate from bin `at` on into the open stay, and tell what came before it."""
    for _ in range(at):
        _flush(state, state.bins.pop(0))
    halt, before = _halt(state.bins), state.halt
    if before is not None and _wandered(state, before, halt):
        forget_trip(state, before)
        before.add(halt.lat, halt.lon, halt.count, halt.sum_lat, halt.sum_lon)
        before.end_ms, before.inferred = halt.end_ms, before.inferred or halt.inferred
        return before
    _move(state, state.bins[0], halt.start_ms, (halt.lat, halt.lon), [0] * len(VOTES))
    closed.extend(told(state))
    state.halt, state.runs, state.bins, state.far_m = halt, [], [], 0
    return halt


def _halt(bins: list[Bin]) -> Halt:
    first = bins[0]
    inferred = any(piece.silent_ms >= SILENCE_MS for piece in bins[1:])
    halt = Halt(first.first_ms, bins[-1].end_ms, first.lat, first.lon, 0, first.source, inferred)
    for piece in bins:
        halt.sources |= piece.sources
        halt.add(piece.lat, piece.lon, piece.count, piece.sum_lat, piece.sum_lon)
    return halt


def _wandered(state: State, before: Halt, halt: Halt) -> bool:
    """Whether the trip between two stays was only the wander of fixes around one place."""
    if state.far_m > RETURN_MAX_M:
        return False
    return distance_m(before.mean_lat, before.mean_lon, halt.mean_lat, halt.mean_lon) <= SAME_PLACE_M


def forget_trip(state: State, halt: Halt) -> None:
    """Take back the trip that left `halt`: the person never went anywhere."""
    for piece in state.pieces():
        halt.sources |= piece.sources
    state.runs, state.bins, state.far_m = [], [], 0

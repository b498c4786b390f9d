"""Telling: the events of a stay and of the trip that left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.timeline.event import Event, EventType, Mode, event_id
from unbroken.domain.timeline.geo import E7
from unbroken.domain.timeline.legs import legs_of
from unbroken.domain.timeline.pieces import MOVES, Halt, Kind, Run

if TYPE_CHECKING:
    from unbroken.domain.timeline.modes import Guess
    from unbroken.domain.timeline.state import State


def told(state: State) -> list[Event]:
    """The events of the open stay, if any, and of the trip in `runs`, in order, all with an end."""
    events = [] if state.halt is None else [stay_event(state, state.halt, state.halt.end_ms)]
    legs = legs_of(state.runs, waited=state.halt is not None)
    trip_id = ""
    for run, guess in legs:
        trip_id = (trip_id or event_id(state.user_id, "trip", run.start_ms)) if run.kind in MOVES else ""
        events.append(leg_event(state, run, guess, trip_id))
    return events


def stay_event(state: State, halt: Halt, end_ms: int | None) -> Event:
    """The event of a stay."""
    spread_m = (halt.sum_m2 / halt.count) ** 0.5
    return _event(
        state,
        EventType.STATIONARY,
        halt.start_ms,
        end_ms,
        halt.mean_lat,
        halt.mean_lon,
        halt.sources,
        halt.source,
        radius_m=round(max(10.0, spread_m * 1.07), 1),
        confidence=0.7 if halt.inferred else 0.9,
        inferred=halt.inferred,
    )


def nowhere_event(state: State) -> Event:
    """The event of a timeline to which no fix came yet."""
    return _event(
        state, EventType.UNKNOWN, state.first_ms, None, None, None, state.fresh, state.fresh_source,
        confidence=0.5, inferred=True, reason="no_location",
    )  # fmt: skip


def leg_event(state: State, run: Run, guess: Guess | None, trip_id: str) -> Event:
    """The event of one leg of a trip, or of what stands between trips."""
    if guess is not None:
        return _event(
            state, EventType.TRANSPORT, run.start_ms, run.end_ms, run.lat, run.lon, run.sources, run.source,
            mode=guess.mode, confidence=guess.confidence, distance_m=round(run.way_dm / 10), trip_id=trip_id,
            inferred=run.silent_ms * 2 > run.duration_ms,
        )  # fmt: skip
    off_grid = run.kind is Kind.OFF_GRID
    return _event(
        state,
        EventType.OFF_THE_GRID if off_grid else EventType.UNKNOWN,
        run.start_ms,
        run.end_ms,
        run.lat,
        run.lon,
        run.sources,
        run.source,
        confidence=0.5,
        inferred=True,
        reason="no_data" if off_grid else "insufficient_data",
    )


def _event(
    state: State,
    kind: EventType,
    start_ms: int,
    end_ms: int | None,
    lat: int | None,
    lon: int | None,
    sources: int,
    source: int,
    *,
    confidence: float,
    inferred: bool,
    radius_m: float | None = None,
    mode: Mode | None = None,
    distance_m: int | None = None,
    reason: str | None = None,
    trip_id: str | None = None,
) -> Event:
    install, activation = state.sources[source]
    installs = {state.sources[index][0] for index in range(len(state.sources)) if sources >> index & 1}
    return Event(
        event_id=event_id(state.user_id, kind, start_ms),
        type=kind,
        start_ms=start_ms,
        end_ms=end_ms,
        lat=None if lat is None else lat / E7,
        lon=None if lon is None else lon / E7,
        radius_m=radius_m,
        place_id=None,
        mode=mode,
        distance_m=distance_m,
        confidence=confidence,
        inferred=inferred,
        reason=reason,
        trip_id=trip_id or None,
        install=install,
        activation=activation,
        installs=tuple(sorted(installs | {install})),
    )

"""The tail: what is still open, told as if the timeline ended here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unbroken.domain.timeline.candidate import confirm, flush_all, forget_trip, settled_at
from unbroken.domain.timeline.pieces import MOVES, Halt
from unbroken.domain.timeline.policy import OPEN_STAY_MS, RETURN_MAX_M
from unbroken.domain.timeline.tell import nowhere_event, stay_event, told

if TYPE_CHECKING:
    from unbroken.domain.timeline.event import Event
    from unbroken.domain.timeline.state import Spot, State


def tail(state: State) -> list[Event]:
    """The events since the last one that was closed: provisional, and the last of them has no end."""
    if state.at_ms < 0:
        return []
    last = state.last
    if last is None:
        return [nowhere_event(state)]
    state = state.copy()
    events: list[Event] = []
    halt = _open_halt(state, last, events)
    if halt is not None:
        return [*events, stay_event(state, halt, None)]
    flush_all(state)
    *events, moving = told(state)
    return [*events, replace(moving, end_ms=None)]


def _open_halt(state: State, last: Spot, closed: list[Event]) -> Halt | None:
    """The stay that is open at the end, if there is one; what it closes is appended to `closed`."""
    if not state.bins:
        return state.halt
    if state.halt is not None and state.far_m <= RETURN_MAX_M and last.at_ms - state.halt.end_ms < OPEN_STAY_MS:
        forget_trip(state, state.halt)
        return state.halt
    at = settled_at(state.bins)
    if last.at_ms - state.bins[at].first_ms >= OPEN_STAY_MS or _nothing_moved(state):
        return confirm(state, at, closed)
    return None


def _nothing_moved(state: State) -> bool:
    """A first fix, or the first one after a gap, is shown as a stay until it is seen to move."""
    if state.runs:
        return state.runs[-1].kind not in MOVES
    return state.halt is None

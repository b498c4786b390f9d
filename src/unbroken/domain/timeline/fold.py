"""The fold: a person's accepted items, in order of capture time, to the events of their timeline.

Pure: the same items give the same events, however the stream is cut into calls. The timeline so far is all events
ever closed, followed by `tail` of the state. It begins with the first fix: activity samples place nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain.timeline.clean import believe
from unbroken.domain.timeline.felt import count_vote, feel
from unbroken.domain.timeline.item import Item, Motion
from unbroken.domain.timeline.policy import CHECKPOINT_ITEMS, OFF_GRID_MS, VOTES
from unbroken.domain.timeline.sources import forget_sources, source_of
from unbroken.domain.timeline.state import State
from unbroken.domain.timeline.step import advance
from unbroken.domain.timeline.tail import tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.timeline.event import Event

__all__ = ["Checkpoint", "Folded", "fold", "start", "tail"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after all items up to `at_ms`; the next item is strictly later.

    `events_before`: how many of `Folded.events` were closed before it.
    """

    at_ms: int
    state: State
    events_before: int


@dataclass(frozen=True, slots=True)
class Folded:
    """The events that were closed in this run, the state to go on from, and the checkpoints passed on the way."""

    events: list[Event]
    state: State
    checkpoints: list[Checkpoint]


def start(user_id: bytes) -> State:
    """The state before a person's first item."""
    return State(user_id)


def fold(state: State, items: Sequence[Item]) -> Folded:
    """Go on from `state`, which stays as it is, over items in `order_key` order, all later than `state.at_ms`."""
    state = state.copy()
    closed: list[Event] = []
    checkpoints: list[Checkpoint] = []
    for item in items:
        if state.checkpoint_due and item.at_ms > state.at_ms:
            state.checkpoint_due, state.since_checkpoint = False, 0
            checkpoints.append(Checkpoint(state.at_ms, state.copy(), len(closed)))
        halt = state.halt
        _take(state, item, closed)
        state.since_checkpoint += 1
        if state.halt is not halt or state.since_checkpoint >= CHECKPOINT_ITEMS:
            state.checkpoint_due = True
    return Folded(closed, state, checkpoints)


def _take(state: State, item: Item, closed: list[Event]) -> None:
    at_ms = item.at_ms
    if state.first_ms < 0:
        state.first_ms = at_ms
    elif at_ms - state.at_ms > OFF_GRID_MS:
        _fall_quiet(state)
    state.at_ms = at_ms
    source = source_of(state, item)
    if not state.fresh:
        state.fresh_source = source
    state.fresh |= 1 << source
    count_vote(state, at_ms)
    if isinstance(item, Motion):
        feel(state, item)
        return
    spots = believe(state, item)
    for spot in spots:
        advance(state, spot, closed)
    if spots:
        state.fresh = 0
        forget_sources(state)


def _fall_quiet(state: State) -> None:
    """A day without any item: what was felt, and a jump that nothing confirmed, mean no more."""
    if state.quiet_ms < 0:
        state.quiet_ms = state.at_ms
    state.held, state.vote, state.votes = None, -1, [0] * len(VOTES)

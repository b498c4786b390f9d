"""What the phone felt: the time that activity samples of the operating system speak for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.timeline.policy import VOTE_MIN_CONFIDENCE, VOTE_MS, VOTES

if TYPE_CHECKING:
    from unbroken.domain.timeline.item import Motion
    from unbroken.domain.timeline.state import State

_VOTE = {name: index for index, name in enumerate(VOTES)}


def count_vote(state: State, at_ms: int) -> None:
    """The activity felt last speaks for the time until now, but not for ever."""
    if state.vote < 0:
        return
    to_ms = min(at_ms, state.vote_ms + VOTE_MS)
    if to_ms > state.voted_to_ms:
        state.votes[state.vote] += to_ms - state.voted_to_ms
        state.voted_to_ms = to_ms


def feel(state: State, motion: Motion) -> None:
    """Let a sample speak from now on; unknown and doubtful ones change nothing."""
    vote = _VOTE.get(motion.type)
    if vote is None or (motion.confidence is not None and motion.confidence < VOTE_MIN_CONFIDENCE):
        return
    state.vote, state.vote_ms, state.voted_to_ms = vote, motion.at_ms, motion.at_ms

"""Sources: the installs and activations behind what is open, named by index and gathered in bit masks.

They are carried along and never looked at: who captured an item changes nothing but the names on an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.timeline.policy import MAX_SOURCES

if TYPE_CHECKING:
    from unbroken.domain.timeline.item import Item
    from unbroken.domain.timeline.state import State


def source_of(state: State, item: Item) -> int:
    """The index of the item's source; where there is no room left, the last one's."""
    pair, sources = (item.install, item.activation), state.sources
    if sources and sources[-1] == pair:
        return len(sources) - 1
    if pair in sources:
        return sources.index(pair)
    if len(sources) < MAX_SOURCES:
        sources.append(pair)
    return len(sources) - 1


def forget_sources(state: State) -> None:
    """Keep only the sources that an open piece still names."""
    if len(state.sources) < 2:
        return
    pieces = state.pieces()
    named = 0
    for piece in pieces:
        named |= piece.sources | 1 << piece.source
    kept = [index for index in range(len(state.sources)) if named >> index & 1]
    if len(kept) == len(state.sources):
        return
    for piece in pieces:
        piece.source = kept.index(piece.source)
        piece.sources = _moved(piece.sources, kept)
    state.sources = [state.sources[index] for index in kept]


def _moved(sources: int, kept: list[int]) -> int:
    """The bit mask under the new indices."""
    moved = 0
    for to, index in enumerate(kept):
        moved |= (sources >> index & 1) << to
    return moved

"""Belief: how the activations that were believed in at one instant stand to those believed in at another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.payload import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbroken.domain.ids import InstallId, UserId
    from unbroken.domain.ledger.people import Span

Stretch = tuple["InstallId", int, int]
"""An install, and the stretch `[from, to)` in which what it captured counts."""


def counting(spans: Iterable[Span], user_id: UserId, until_ms: int) -> list[Stretch]:
    """The activations of a user, up to an instant; in order."""
    mine = [one for one in spans if one.outcome is Outcome.ACCEPTED and one.user_id == user_id]
    cut = [(one.install_id, one.from_ms, until_ms if one.to_ms is None else min(one.to_ms, until_ms)) for one in mine]
    return sorted(stretch for stretch in cut if stretch[1] < stretch[2])


def holds(known: Sequence[Stretch], then: Iterable[Stretch]) -> bool:
    """Whether all of `then` lies within what is known to count, however that is cut; both in order."""
    return all(_covers(known, *stretch) for stretch in then)


def _covers(known: Iterable[Stretch], install_id: InstallId, from_ms: int, to_ms: int) -> bool:
    at = from_ms
    for one, begin, end in known:
        if one == install_id and begin <= at < end:
            at = end
    return at >= to_ms

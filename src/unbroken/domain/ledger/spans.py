"""Spans of time: how an install stood since its registration, without a gap; what a join makes of those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.install import State
from unbroken.domain.ledger.people import Span, status_of
from unbroken.domain.payload import OUTCOMES, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import InstallId, UserId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.facts import Fact
    from unbroken.domain.ledger.people import People


def settle(people: People, fact: Fact, install_id: InstallId, rival: InstallId | None = None) -> None:
    """Close the install's open span and open the next, if it stands differently now; an empty span does not exist."""
    install = people.install(install_id)
    people.touched_installs.add(install_id)
    spans = people.spans[install_id]
    state = status_of(install, people.resolve(install.user))
    if spans and spans[-1].to_ms is None:
        if (spans[-1].state, spans[-1].user_id) == (state, install.user):
            return
        spans[-1] = spans[-1]._replace(to_ms=fact.at)
        if spans[-1].from_ms == fact.at:
            spans.pop()
    spans.append(Span(install_id, install.user, state, OUTCOMES[state], fact.at, None, fact.fact_id, rival))


def voided(people: People, fact: Fact, install: Install) -> Span:
    """All that the install was before, as one stretch that never counts for its new user."""
    user = people.install(install.install_id).user
    since = install.registered_at
    return Span(install.install_id, user, State.ACTIVE, Outcome.BEFORE_LINK, since, fact.at, fact.fact_id)


def claimed(people: People, fact: Fact, install: Install, floor_ms: int | None) -> list[Span]:
    """Row 14: what the own user had is the new user's where no activation of that one covers it.

    The spans of all installs of the new user must have been loaded, not only the open ones.

    Args:
        floor_ms: up to then nothing is the new user's (`Linked.floor_ms`).
    """
    user = people.install(install.install_id).user
    settled = [] if floor_ms is None else [(0, floor_ms + 1)]
    covered = settled + _activations(people, user, fact.at)
    pieces: list[Span] = []
    for span in people.spans[install.install_id]:
        end = fact.at if span.to_ms is None else span.to_ms
        whole = span._replace(user_id=user, to_ms=end, cause=fact.fact_id, rival=None)
        if span.outcome is Outcome.ACCEPTED:
            pieces += _cut(whole, end, covered)
        else:
            pieces.append(whole._replace(outcome=Outcome.BEFORE_LINK))
    return pieces


def _activations(people: People, user: UserId, until: int) -> list[tuple[int, int]]:
    """The intervals in which some install of a user was active, in order."""
    spans = [
        span
        for install in people.installs_of(user)
        for span in people.spans[install.install_id]
        if span.outcome is Outcome.ACCEPTED and span.user_id == user
    ]
    return sorted((span.from_ms, until if span.to_ms is None else span.to_ms) for span in spans)


def _cut(span: Span, end: int, covered: Iterable[tuple[int, int]]) -> list[Span]:
    """A span in pieces: OVERLAPS where it is covered, as it is elsewhere."""
    pieces, at = [], span.from_ms
    for from_ms, to_ms in covered:
        start, stop = max(from_ms, at), min(to_ms, end)
        if start >= stop:
            continue
        if start > at:
            pieces.append(span._replace(from_ms=at, to_ms=start))
        pieces.append(span._replace(outcome=Outcome.OVERLAPS, from_ms=start, to_ms=stop))
        at = stop
    return [*pieces, span._replace(from_ms=at, to_ms=end)] if at < end else pieces

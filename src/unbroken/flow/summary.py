"""Summary: what a change makes different: installs, activations, and events by day.

It is taken by looking before and after, and of events from what was rewritten, however many there are. So a dry run,
which does everything and lets nothing stay, tells exactly what the real call then does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.payload import DAY_MS, Outcome
from unbroken.domain.standing import STATES, standing_of
from unbroken.flow import encoding
from unbroken.store import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbroken.domain.ids import AppId, InstallId, UserId
    from unbroken.domain.ledger.people import Span
    from unbroken.flow.timeline_rows import Rewritten
    from unbroken.store.contract import Transaction
    from unbroken.store.timelines import EventRow

_EventKey = tuple["UserId", int, "int | None", str]
"""What makes two events the same to a reader: whose, from when to when, and what."""


@dataclass(slots=True)
class View:
    """How some installs look at one moment of a transaction, and those of their events that a change rewrites."""

    installs: dict[InstallId, tuple[UserId, str]] = field(default_factory=dict)
    activations: set[Span] = field(default_factory=set)
    events: set[_EventKey] = field(default_factory=set)


async def look(tx: Transaction, app_id: AppId, installs: Iterable[InstallId]) -> View:
    """Look at some installs."""
    view = View()
    for install_id in sorted(installs):
        install = await identity.read_install(tx, app_id, install_id)
        user = await identity.resolve_user(tx, app_id, install.user) if install is not None else None
        if install is None or user is None:
            continue
        view.installs[install_id] = (user.user_id, STATES[standing_of(install, user)].value)
        spans = await identity.read_spans(tx, install_id)
        view.activations |= {span for span in spans if span.outcome is Outcome.ACCEPTED}
    return view


def summary_of(before: View, after: View, rewritten: Mapping[UserId, Rewritten]) -> wire.Summary:
    """What differs between two looks, and what was rewritten of each user's timeline."""
    for user_id, one in rewritten.items():
        before.events |= _keys(user_id, one.before)
        after.events |= _keys(user_id, one.after)
    return wire.Summary(_installs(before, after), _activations(before, after), _days(before, after))


def _keys(user_id: UserId, rows: Iterable[EventRow]) -> set[_EventKey]:
    return {(user_id, row.start_ms, row.end_ms, encoding.unpack(row.body).type) for row in rows}


def _installs(before: View, after: View) -> list[wire.InstallChange]:
    changes = []
    for install_id in sorted(before.installs.keys() & after.installs.keys()):
        (user_before, state_before), (user_after, state_after) = before.installs[install_id], after.installs[install_id]
        if (user_before, state_before) != (user_after, state_after):
            change = wire.InstallChange(
                install_id.hex(), user_before.hex(), user_after.hex(), state_before, state_after
            )
            changes.append(change)
    return changes


def _activations(before: View, after: View) -> list[wire.ActivationChange]:
    def plain(spans: set[Span]) -> set[tuple[InstallId, UserId, int, int | None]]:
        return {(span.install_id, span.user_id, span.from_ms, span.to_ms) for span in spans}

    def change(what: str, one: tuple[InstallId, UserId, int, int | None]) -> wire.ActivationChange:
        install_id, user_id, from_ms, to_ms = one
        to = None if to_ms is None else wire.iso(to_ms)
        return wire.ActivationChange(what, install_id.hex(), user_id.hex(), wire.iso(from_ms), to)  # type: ignore[arg-type]

    was, is_ = plain(before.activations), plain(after.activations)
    lost = [change("lost", one) for one in sorted(was - is_, key=_order)]
    return lost + [change("gained", one) for one in sorted(is_ - was, key=_order)]


def _order(one: tuple[InstallId, UserId, int, int | None]) -> tuple[int, bytes, bytes]:
    return (one[2], one[0], one[1])


def _days(before: View, after: View) -> list[wire.DayChange]:
    gained, lost = after.events - before.events, before.events - after.events
    moved = {key[1:] for key in gained} & {key[1:] for key in lost}
    counts: Counter[tuple[UserId, int, str]] = Counter()
    for what, keys in (("gained", gained), ("lost", lost)):
        for key in keys:
            counts[key[0], key[1] // DAY_MS, what] += 1
            counts[key[0], key[1] // DAY_MS, "moved"] += key[1:] in moved
    return [
        wire.DayChange(
            user_id.hex(),
            wire.iso(day * DAY_MS)[:10],
            counts[user_id, day, "gained"],
            counts[user_id, day, "lost"],
            counts[user_id, day, "moved"],
        )
        for user_id, day in sorted({(user_id, day) for user_id, day, _ in counts})
    ]

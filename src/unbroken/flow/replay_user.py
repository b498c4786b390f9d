"""One user of a replay: its timeline told anew, from which inputs, and what the ledger says once it is served."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from unbroken.domain.ids import FactId
from unbroken.domain.ledger.facts import FactKind
from unbroken.flow import audit, encoding
from unbroken.flow.administer import OPERATOR
from unbroken.flow.difference import Both
from unbroken.flow.timeline import load_all, told_anew
from unbroken.flow.timeline_rows import Told
from unbroken.store import due_timelines, identity, ledger, retention, timelines
from unbroken.store import replay as rows
from unbroken.store.ledger import Entry
from unbroken.store.replay import Side

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, UserId
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


async def look(tx: Transaction, user_id: UserId, late_window_days: int | None) -> tuple[bytes, Both] | None:
    """A timeline as it is served and as it is told anew, and a hash of what it was told from.

    Args:
        late_window_days: the late window to try; None takes the ones in force when each item came.

    Returns:
        None where the timeline is due: it is not what the ledger and the payloads say right now.
    """
    if await due_timelines.due_of(tx, [user_id]):
        return None
    loaded = await load_all(tx, user_id)
    if loaded is None:
        return None
    tried = loaded
    if late_window_days is not None:
        windows = loaded.late_windows.tried(late_window_days, loaded.spans, loaded.cursor_ms)
        tried = replace(loaded, late_windows=windows)
    told = await told_anew(tx, user_id, tried)
    old = await timelines.events_from(tx, user_id, told.from_ms)
    both = Both(loaded, tried, told, old, await timelines.head(tx, user_id))
    return await inputs(tx, user_id), both


async def inputs(tx: Transaction, user_id: UserId) -> bytes:
    """What a timeline is made from, as one hash; of a user that was erased another one than before."""
    app_id = await identity.app_of_living_user(tx, user_id)
    return hashlib.sha256(repr((app_id, await rows.inputs(tx, user_id))).encode()).digest()


def side_of(told: Told) -> Side:
    """A timeline as it is kept beside the one that is served."""
    events = [(event.event_id, event.start_ms, encoding.pack(event)) for event in told.events]
    return Side(told.from_ms, told.checkpoints_from, told.head, told.checkpoints, events)


def told_of(side: Side) -> Told:
    """The same back."""
    events = [encoding.unpack(body) for _, _, body in side.events]
    return Told(side.from_ms, events, side.head, side.checkpoints_from, side.checkpoints)


async def record(context: Context, tx: Transaction, app_id: AppId, user_id: UserId, late_window_days: int) -> None:
    """Say in the ledger that what has come by now of a user's installs is judged under this late window.

    Not what was captured before the user's floor: that can be told no other way any more.
    """
    now_ms = context.clock.now_ms()
    until_ms = max(now_ms, await rows.last_receipt(tx, user_id))  # a clock may have run back
    fields = {"late_window_days": late_window_days, "received_until": until_ms}
    if (floor := await retention.floor(tx, user_id)) is not None:
        fields["captured_after"] = floor.at_ms
    for install in await identity.read_installs_of(tx, app_id, user_id):
        fact_id = FactId(context.randomness.id("fact", now_ms))
        entry = Entry(fact_id, now_ms, FactKind.REPLAYED, OPERATOR, install_id=install.install_id, fields=fields)
        await ledger.append(tx, app_id, entry)
        audit.note_fact(context, tx, app_id, entry, {"late_window_days": late_window_days})

"""Repair: what is proved wrong is written as it is proved to be, one finding's rows in one transaction.

Each is looked at once more inside that transaction, so whatever happened since it was found is taken into account.
Facts, payloads and credentials are never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.ids import AppId, InstallId, UserId
from unbroken.flow import encoding
from unbroken.flow.timeline_rows import put
from unbroken.flow.verify import people, timelines
from unbroken.flow.verify.history import Key
from unbroken.store import crosschecks, inspection, mending, replay
from unbroken.store import timelines as rows
from unbroken.store.contract import ConstraintViolation
from unbroken.store.timelines import EventRow

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.flow.verify.finding import Mend
    from unbroken.store.contract import Transaction


async def repair(context: Context, mend: Mend) -> bool:
    """Repair one finding; False where it is not proved any more, or another must be repaired first."""
    try:
        match mend.what:
            case "people":
                return await context.store.write(lambda tx: _people(tx, mend.app_id, InstallId(mend.subject)))
            case "strays":
                return await context.store.write(lambda tx: _strays(tx, InstallId(mend.subject)))
            case "timeline":
                return await _timeline(context, mend.app_id, UserId(mend.subject))
    except ConstraintViolation:
        return False  # another damaged row is in the way


async def _people(tx: Transaction, app_id: AppId, seed: InstallId) -> bool:
    looked = await people.look(tx, app_id, seed)
    if not looked.is_proved:
        return False
    for table, owner in sorted({(one.key.table, one.key.owner) for one in looked.differs}):
        await _rewrite(tx, looked, table, owner)
    return True


async def _rewrite(tx: Transaction, looked: people.Looked, table: str, owner: bytes) -> None:
    match table:
        case "installs":
            await mending.set_install(tx, InstallId(owner), looked.expected[Key(table, owner)])
        case "users":
            await mending.set_user(tx, UserId(owner), looked.expected[Key(table, owner)])
        case "spans":
            spans = {key.part: row for key, row in looked.expected.items() if (key.table, key.owner) == (table, owner)}
            await mending.set_spans(tx, InstallId(owner), spans)
        case _:
            for key, _, expected in looked.differs:
                user_id = None if expected is None else expected["user_id"]
                await mending.set_carrier(tx, looked.app_id, key.part, user_id)


async def _strays(tx: Transaction, install_id: InstallId) -> bool:
    if await inspection.install(tx, install_id) is not None or await crosschecks.is_registered(tx, install_id):
        return False
    await mending.set_spans(tx, install_id, {})
    return True


async def _timeline(context: Context, app_id: AppId, user_id: UserId) -> bool:
    """Told anew outside of the transaction, as it takes long; written only where nothing has changed meanwhile."""
    looked = await context.store.read_long(lambda tx: timelines.look(tx, app_id, user_id))
    if looked is None or not looked.is_proved:
        return False

    async def write(tx: Transaction) -> bool:
        if await rows.due_of(tx, [user_id]) or await replay.inputs(tx, user_id) != looked.inputs:
            return False
        if looked.is_gone:
            await rows.drop(tx, user_id)
            return True
        await _write(tx, looked)
        return True

    return await context.store.write(write)


async def _write(tx: Transaction, looked: timelines.Looked) -> None:
    user_id = looked.user_id
    assert looked.told is not None, "it was compared with that"
    for event_id in looked.strange:
        await mending.drop_event(tx, user_id, event_id)
    revisions = {row.event_id: row.revision for row in looked.events}
    right = [
        EventRow(
            event.event_id,
            event.start_ms,
            event.end_ms,
            max(revisions.get(event.event_id, 1), 1),
            encoding.pack(event),
            event.place_id,
        )
        for event in looked.wrong_events.values()
        if event is not None
    ]
    await rows.set_events(tx, user_id, right)
    await mending.drop_checkpoints(tx, user_id)
    await put(tx, user_id, looked.told)
    for day, chunk in looked.wrong_chunks.items():
        await rows.set_chunk(tx, user_id, day, chunk)

"""Repair: what is proved wrong is written as it is proved to be, one finding's rows in one transaction.

Each is looked at once more inside that transaction, so whatever happened since it was found is taken into account.
Facts, payloads and credentials are never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.ids import InstallId, UserId
from unbroken.flow import audit, encoding
from unbroken.flow.administer import OPERATOR
from unbroken.flow.audit import Event, What
from unbroken.flow.timeline_rows import put
from unbroken.flow.verify import people, timelines
from unbroken.flow.verify.history import Key
from unbroken.store import crosschecks, due_timelines, inspection, mending, replay
from unbroken.store import timelines as rows
from unbroken.store.contract import ConstraintViolation
from unbroken.store.timelines import EventRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.flow.context import Context
    from unbroken.flow.verify.finding import Mend
    from unbroken.store.contract import Call, Transaction


async def repair(context: Context, mend: Mend) -> bool:
    """Repair one finding; False where it is not proved any more, or another must be repaired first."""
    try:
        match mend.what:
            case "people":
                return await context.store.write(_noting(context, mend, _people))
            case "strays":
                return await context.store.write(_noting(context, mend, _strays))
            case "timeline":
                return await _timeline(context, mend)
    except ConstraintViolation:
        return False  # another damaged row is in the way


def _noting(context: Context, mend: Mend, step: Callable[[Transaction, Mend], Awaitable[bool]]) -> Call[bool]:
    """`step`, with an entry in the audit log where it repaired something."""

    async def write(tx: Transaction) -> bool:
        is_repaired = await step(tx, mend)
        if is_repaired:
            _note(context, tx, mend)
        return is_repaired

    return write


def _note(context: Context, tx: Transaction, mend: Mend) -> None:
    is_timeline = mend.what == "timeline"
    event = Event(
        What.ROWS_REPAIRED,
        OPERATOR,
        mend.app_id or None,
        install_id=None if is_timeline else InstallId(mend.subject),
        user_id=UserId(mend.subject) if is_timeline else None,
        more={"repaired": mend.what},
    )
    audit.note(context, tx, event)


async def _people(tx: Transaction, mend: Mend) -> bool:
    looked = await people.look(tx, mend.app_id, InstallId(mend.subject))
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


async def _strays(tx: Transaction, mend: Mend) -> bool:
    install_id = InstallId(mend.subject)
    if await inspection.install(tx, install_id) is not None or await crosschecks.is_registered(tx, install_id):
        return False
    await mending.set_spans(tx, install_id, {})
    return True


async def _timeline(context: Context, mend: Mend) -> bool:
    """Told anew outside of the transaction, as it takes long; written only where nothing has changed meanwhile."""
    user_id = UserId(mend.subject)
    looked = await context.store.read_long(lambda tx: timelines.look(tx, mend.app_id, user_id))
    if looked is None or not looked.is_proved:
        return False

    async def write(tx: Transaction) -> bool:
        if await due_timelines.due_of(tx, [user_id]) or await replay.inputs(tx, user_id) != looked.inputs:
            return False
        _note(context, tx, mend)
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

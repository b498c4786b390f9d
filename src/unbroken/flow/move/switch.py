"""The switch: a last round beside which nobody writes, the comparison of both sides, and the change of names."""

from __future__ import annotations

from asyncio import get_running_loop
from dataclasses import replace
from typing import TYPE_CHECKING

from unbroken.domain.errors import Conflict
from unbroken.flow.move.beginning import reasons_to_purge
from unbroken.flow.move.report import Counted, TableReport
from unbroken.flow.move.rounds import without_writers
from unbroken.flow.move.sides import SourceRows, TargetRows, as_one, refuse_replaced
from unbroken.store import moves, resealing, tombstones
from unbroken.store import seal as seals
from unbroken.store.moves import Role
from unbroken.store.whereabouts import ARRIVING, DEPARTED, Whereabouts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.flow.move.report import Progress, Report
    from unbroken.flow.move.sides import Side
    from unbroken.store.contract import Transaction
    from unbroken.store.seal import Seal


async def switch(source: Side, target: Side, seal: Seal, run: bytes, report: Report, tell: Progress) -> None:
    """End the move: the source has departed, then the target is the platform.

    Raises:
        Conflict: the two differ after the last round, or another run took over; the source goes on.
        StoreUnavailable: as the engines say; where the source had departed, the same command ends the move.
    """
    counters: Mapping[str, int]
    if source.whereabouts is Whereabouts.DEPARTED:  # by a run that ended right behind that
        await _last_round(source, target, run, report, tell)
        counters = await source.movable.store.read_long(lambda tx: _counters(tx, source))
    else:
        counters = await _depart(source, target, run, report, tell)
    await target.movable.store.write(lambda tx: _arrive(tx, target, seal, run, counters, report))


async def _depart(source: Side, target: Side, run: bytes, report: Report, tell: Progress) -> Mapping[str, int]:
    loop = get_running_loop()
    async with source.movable.standing_still() as tx:
        began_s = loop.time()
        mark = await moves.find(tx)
        if mark != source.mark or mark is None or mark.role is not Role.LEAVING:
            raise Conflict("Another `unbroken move` has begun from this source.", hint="Let only one run.")
        await _last_round(source, target, run, report, tell)
        counters = await _counters(tx, source)
        await moves.rename(tx, source.names, "", DEPARTED)
        await moves.put(tx, replace(mark, role=Role.LEFT))
    report.stood_still_s += loop.time() - began_s
    return counters


async def _last_round(source: Side, target: Side, run: bytes, report: Report, tell: Progress) -> None:
    """Make both the same and compare them.

    Raises:
        Conflict: they are not the same.
    """
    tables, report.last = [], 0
    for name, (ours, theirs) in as_one(source, target).items():
        rows = SourceRows(source.movable, ours), TargetRows(target.movable, theirs, run)
        count, sums = await without_writers(*rows, Counted(tell, "last round", name))
        if not sums.are_same:
            raise Conflict(
                f"The table {name} is not the same on both sides after the last round, so the platform stays where it"
                f" is: {sums.source.rows} rows, {sums.source.text}; {sums.target.rows} rows, {sums.target.text}.",
                hint="Look whether anybody else writes to the target, then run the same command again.",
            )
        report.last += count.changed
        tables.append(TableReport(name, sums.source.rows, sums.source.text))
    report.tables = tables


async def _counters(tx: Transaction, source: Side) -> dict[str, int]:
    """What was counted up last, so that no number of a row that is gone is given out again."""
    counted = {name: shape for name, shape in source.shapes.items() if shape.counter is not None}
    return {name: await source.movable.counted(tx, shape) for name, shape in counted.items()}


async def _arrive(
    tx: Transaction, target: Side, seal: Seal, run: bytes, counters: Mapping[str, int], report: Report
) -> None:
    """From here on the target is the platform."""
    mark = await refuse_replaced(tx, run)
    for name, number in counters.items():
        await target.movable.count_from(tx, target.shapes[name], number)
    report.is_to_purge = await reasons_to_purge(tx, target) != mark.receipts
    await moves.rename(tx, target.names, ARRIVING, "")
    await seals.agree(tx, seal)
    await moves.put(tx, replace(mark, role=Role.FILLED))
    if report.is_to_purge:  # what is not to be there may have been copied, and deleted again (linking.md, law 10)
        await tombstones.soil_all(tx)
        await resealing.soil(tx)

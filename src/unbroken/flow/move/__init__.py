"""Move: a platform goes to another database while it runs, whatever the engines (docs/decisions/0017).

Round after round makes the target the same as the source, beside whoever writes, until little differs. Then the
writers stand still for a last round; both sides are summed up; the source's tables change their names, which stops
every server on it for good; and the target's get theirs. Whatever kills the process in between, the source is live
and the target cannot be used, or the target is whole and the same command ends the move.
"""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Final

from unbroken.flow.move import beginning, switch
from unbroken.flow.move.beginning import refuse_stream
from unbroken.flow.move.differences import is_another_worth_it
from unbroken.flow.move.report import Counted, Progress, Report, TableReport
from unbroken.flow.move.rounds import beside_writers
from unbroken.flow.move.sides import SourceRows, TargetRows, as_one, look_at
from unbroken.store.contract import StoreUnavailable
from unbroken.store.whereabouts import Whereabouts

if TYPE_CHECKING:
    from unbroken.flow.move.sides import Side
    from unbroken.randomness import Randomness
    from unbroken.store.movable import Movable
    from unbroken.store.seal import Seal

__all__ = ["Progress", "Report", "TableReport", "look_before", "move", "refuse_stream"]

_TRIES: Final = 3
"""To switch: a long read can be in the way of the change of names."""


async def look_before(source: Movable, target: Movable | None) -> Report:
    """What a move would have to do; nothing is changed.

    Args:
        source: the platform.
        target: None where there is no database yet.

    Raises:
        Conflict: it would be refused.
    """
    ours = await look_at(source)
    theirs = None if target is None else await look_at(target)
    found = await beginning.refuse_unfit(ours, theirs)
    tables = [TableReport(name, await beginning.count(ours, name)) for name in ours.shapes]
    place = "" if target is None else target.place
    return Report(source.place, place, was_done=found is beginning.Stage.DONE, is_dry=True, tables=tables)


async def move(source: Movable, target: Movable, seal: Seal, randomness: Randomness, tell: Progress) -> Report:
    """Move the platform, or go on where an earlier run ended.

    Args:
        source: where it is.
        target: where it is to be.
        seal: what the target bears afterwards: which keys it was written with.

    Raises:
        Conflict: one of the databases is not fit for it, or another run took over.
        StoreUnavailable: as the engines say; the same command goes on.
    """
    run = randomness.secret(8)
    ours, theirs, stage = await beginning.begin(source, target, seal, run, randomness)
    report = Report(source.place, target.place, was_done=stage is beginning.Stage.DONE)
    if report.was_done:
        return report
    if ours.whereabouts is Whereabouts.HERE:
        await _rounds(ours, theirs, run, report, tell)
    await _get_to_know(theirs)
    for tries_left in reversed(range(_TRIES)):
        began_s = get_running_loop().time()
        try:
            await switch.switch(ours, theirs, seal, run, report, tell)
            break
        except StoreUnavailable:
            if not tries_left:
                raise
        report.stood_still_s += get_running_loop().time() - began_s
        ours, theirs, stage = await beginning.begin(source, target, seal, run, randomness)
        if stage is beginning.Stage.DONE:  # only the answer was lost
            break
    return report


async def _rounds(source: Side, target: Side, run: bytes, report: Report, tell: Progress) -> None:
    tables = as_one(source, target)
    while not report.rounds or is_another_worth_it(report.rounds):
        step, changed = f"round {len(report.rounds) + 1}", 0
        for name, (ours, theirs) in tables.items():
            counted = Counted(tell, step, name)
            rows = SourceRows(source.movable, ours), TargetRows(target.movable, theirs, run)
            changed += (await beside_writers(*rows, counted)).changed
        report.rounds.append(changed)


async def _get_to_know(target: Side) -> None:
    tables = list(target.shapes.values())
    await target.movable.store.write(lambda tx: target.movable.get_to_know(tx, tables))

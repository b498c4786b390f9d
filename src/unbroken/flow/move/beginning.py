"""The beginning of a move: whether two databases are fit for it, and the marks that tie them together."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import Conflict
from unbroken.flow.move.sides import BRING_UP_TO_DATE, Side, as_one, look_at
from unbroken.store import migrate, moves, table_rows
from unbroken.store import seal as seals
from unbroken.store.moves import Mark, Role
from unbroken.store.whereabouts import ARRIVING, Whereabouts

if TYPE_CHECKING:
    from unbroken.randomness import Randomness
    from unbroken.store.contract import Transaction
    from unbroken.store.movable import Movable
    from unbroken.store.seal import Seal

SEEDED: Final = frozenset({"log_head", "log_partitions", "reckoning", "seal", "sealing"})
"""Tables in which a database has rows that nobody has brought in."""


class Stage(StrEnum):
    """How far a move is when it is asked for."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"


async def begin(
    source: Movable, target: Movable, seal: Seal, run: bytes, randomness: Randomness
) -> tuple[Side, Side, Stage]:
    """Begin a move, or take over one that was begun; afterwards `run` alone may fill the target.

    Raises:
        Conflict: the databases are not fit for it.
    """
    ours, theirs = await look_at(source), await look_at(target)
    stage = await refuse_unfit(ours, theirs)
    if stage is Stage.NEW:
        if theirs.whereabouts is Whereabouts.EMPTY:
            await target.make_tables()
            theirs = await look_at(target)
        as_one(ours, theirs)
        for side in (ours, theirs):
            await _refuse_other_keys(side, seal)
        before = await source.store.read_long(lambda tx: reasons_to_purge(tx, ours))
        await _mark_new(ours, theirs, Mark(randomness.secret(12), Role.FILLING, run, source.place, before))
    elif stage is Stage.BEGUN:
        await target.store.write(lambda tx: _take_over(tx, run))
    return await look_at(source), await look_at(target), stage


async def _mark_new(source: Side, target: Side, mark: Mark) -> None:
    """First the source, which is not changed by it in any other way: so a target that is marked has a source."""

    async def mark_source(tx: Transaction) -> None:
        await moves.make(tx)
        await moves.put(tx, replace(mark, role=Role.LEAVING, run=b"", place=target.movable.place))

    async def mark_target(tx: Transaction) -> None:
        if await _filled_tables(tx, target):
            raise Conflict(_HAS_ROWS.format(place=target.movable.place), hint=_ANOTHER)
        await moves.rename(tx, target.names, "", ARRIVING)
        await moves.make(tx)
        await moves.put(tx, mark)

    await source.movable.store.write(mark_source)
    await target.movable.store.write(mark_target)


async def _refuse_other_keys(side: Side, seal: Seal) -> None:
    """A database in use may bear another seal, as servers with other keys work on it."""
    found = await side.movable.store.read_long(seals.find)
    if found is not None and found != seal:
        raise Conflict(
            f"{side.movable.place} was written with other keys than the platform's.",
            hint="Name the platform's data directory with --data, and an empty database with --to.",
        )


async def _take_over(tx: Transaction, run: bytes) -> None:
    mark = await moves.find(tx)
    assert mark is not None, "it was there when it was looked at"
    await moves.put(tx, replace(mark, run=run))


async def _filled_tables(tx: Transaction, side: Side) -> list[str]:
    return [name for name, shape in side.shapes.items() if name not in SEEDED and await table_rows.is_any(tx, shape)]


async def count(side: Side, table: str) -> int:
    """How many rows a table has."""
    return await side.movable.store.read_long(lambda tx: table_rows.count(tx, side.shapes[table]))


async def reasons_to_purge(tx: Transaction, side: Side) -> int:
    """How often somebody was erased or external ids came under another key; it only grows."""
    sealing = side.shapes["sealing"]
    (row,) = await table_rows.between(tx, sealing, None, None)
    return await table_rows.count(tx, side.shapes["receipts"]) + int(row[sealing.all.index("key_no")])


# Whether the two are fit


async def refuse_unfit(source: Side, target: Side | None) -> Stage:
    """How far a move from one to the other is; None for a target that is not there yet.

    Raises:
        Conflict: there can be none, and what to do.
    """
    match source.whereabouts:
        case Whereabouts.HERE:
            if target is None or target.whereabouts is Whereabouts.EMPTY:
                _refuse_other_version(source)
                return Stage.NEW
            return await _stage_of_live(source, target)
        case Whereabouts.DEPARTED:
            return _stage_of_departed(source, target)
        case _:
            raise Conflict(f"There is no platform at {source.movable.place}.", hint="Name where it is with --from.")


async def refuse_stream(source: Movable) -> None:
    """Let only a platform pass whose payload log is in its tables.

    Raises:
        Conflict: it is a stream, which no engine but PostgreSQL can have beside it.
    """
    ours = await look_at(source)
    if ours.whereabouts is Whereabouts.HERE and await count(ours, "log_home"):
        raise Conflict(
            f"The payload log of {source.place} is a stream on NATS, and a platform in a directory can have none: no"
            " server could be started there.",
            hint="Name another PostgreSQL database with --to.",
        )


async def _stage_of_live(source: Side, target: Side) -> Stage:
    place = target.movable.place
    match target.whereabouts:
        case Whereabouts.HERE:
            if await target.movable.store.read_long(lambda tx: _filled_tables(tx, target)):
                raise Conflict(_HAS_ROWS.format(place=place), hint=_ANOTHER)
            return Stage.NEW
        case Whereabouts.ARRIVING if _are_tied(source, target):
            return Stage.BEGUN
        case Whereabouts.ARRIVING:
            raise Conflict(
                f"{place} is half full of another move.", hint=f"If that was given up, delete it. {_ANOTHER}"
            )
        case Whereabouts.DEPARTED:
            raise Conflict(f"{place} is what a platform was moved away from.", hint=_ANOTHER)
        case _:
            raise Conflict(f"{place} holds tables of another program.", hint=_ANOTHER)


def _refuse_other_version(source: Side) -> None:
    """The tables of a target without any will be those of this version."""
    ours = [migration.version for migration in migrate.packaged()]
    if list(source.versions) == ours:
        return
    is_newer = max(source.versions, default=0) > max(ours)
    raise Conflict(
        f"{source.movable.place} was not made by the same version of Unbroken as this command is.",
        hint="Move it with the newer version, that of its servers." if is_newer else BRING_UP_TO_DATE,
    )


def _stage_of_departed(source: Side, target: Side | None) -> Stage:
    if target is not None and _are_tied(source, target):
        if target.whereabouts is Whereabouts.ARRIVING:
            return Stage.BEGUN
        if target.whereabouts is Whereabouts.HERE:
            return Stage.DONE
    where = "elsewhere" if source.mark is None else f"to {source.mark.place}"
    raise Conflict(
        f"The platform was moved away from {source.movable.place}, {where}.",
        hint="Name where it is with --from. A move that did not end goes on with the same --from and --to.",
    )


def _are_tied(source: Side, target: Side) -> bool:
    return source.mark is not None and target.mark is not None and source.mark.move_id == target.mark.move_id


_HAS_ROWS: Final = "{place} holds a platform already."
_ANOTHER: Final = "Name an empty database with --to."

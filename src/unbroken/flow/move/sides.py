"""The two databases of a move: their tables by the platform's own names, and the right to fill the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import Conflict
from unbroken.store import moves, table_rows
from unbroken.store.whereabouts import SIGN, Whereabouts, whereabouts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.flow.move.differences import Difference
    from unbroken.store.contract import Row, Transaction
    from unbroken.store.movable import Movable, Shape
    from unbroken.store.moves import Mark
    from unbroken.store.table_rows import Key

NOT_COPIED: Final = frozenset({SIGN, moves.TABLE})
"""What each database has of its own."""

BRING_UP_TO_DATE: Final = "Bring the source up to date first: start its servers anew with the version that moves it."


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, as it was found.

    Args:
        shapes: its tables, by the platform's own names.
        mark: of the move that it has part in, or of the last one.
        versions: of the migrations that were applied to it.
    """

    movable: Movable
    whereabouts: Whereabouts
    shapes: Mapping[str, Shape]
    mark: Mark | None
    versions: Sequence[int]

    @property
    def names(self) -> list[str]:
        """The tables that change their names: all of the platform's."""
        return [*self.shapes, SIGN]


async def look_at(movable: Movable) -> Side:
    """What a database is now."""

    async def look(tx: Transaction) -> Side:
        shapes = {shape.name: shape for shape in await movable.shapes(tx)}
        found = whereabouts(shapes)
        mark = await moves.find(tx) if moves.TABLE in shapes else None
        versions = await moves.versions(tx, found.prefix) if found.prefix + SIGN in shapes else []
        return Side(movable, found, _own_names(shapes, found), mark, versions)

    return await movable.store.read_long(look)


def _own_names(shapes: Mapping[str, Shape], found: Whereabouts) -> dict[str, Shape]:
    own = {name.removeprefix(found.prefix): shape for name, shape in shapes.items() if name.startswith(found.prefix)}
    return {name: shape for name, shape in own.items() if name not in NOT_COPIED}


class SourceRows:
    """A table that is only read."""

    def __init__(self, movable: Movable, table: Shape) -> None:
        self._movable = movable
        self._table = table

    @property
    def width(self) -> int:
        """See `Rows.width`."""
        return len(self._table.key)

    async def between(self, after: Key | None, until: Key | None, limit: int | None = None) -> list[Row]:
        """See `Rows.between`."""
        return await self._movable.store.read_long(lambda tx: table_rows.between(tx, self._table, after, until, limit))


class TargetRows(SourceRows):
    """A table that is filled, by one process at a time.

    Args:
        run: of this process.
    """

    def __init__(self, movable: Movable, table: Shape, run: bytes) -> None:
        super().__init__(movable, table)
        self._run = run

    async def change(self, difference: Difference) -> None:
        """See `Filled.change`.

        Raises:
            Conflict: another process fills the target now.
        """
        table, overriding = self._table, self._movable.overriding

        async def change(tx: Transaction) -> None:
            await refuse_replaced(tx, self._run)
            await table_rows.take_away(tx, table, difference.away)
            await table_rows.add(tx, table, overriding, difference.lacking)

        await self._movable.store.write(change)


async def refuse_replaced(tx: Transaction, run: bytes) -> Mark:
    """The target's mark, if it is this process that fills it.

    Raises:
        Conflict: it is another.
    """
    mark = await moves.find(tx)
    if mark is None or mark.run != run or mark.role is not moves.Role.FILLING:
        raise Conflict("Another `unbroken move` fills the target now, and this one has ended.")
    return mark


def as_one(source: Side, target: Side) -> dict[str, tuple[Shape, Shape]]:
    """The tables of both, each with the key of the source: an engine may need a longer one.

    Raises:
        Conflict: they were not made by one version of Unbroken.
    """
    ours, theirs = ({name: {*shape.all} for name, shape in side.shapes.items()} for side in (source, target))
    if (ours, source.versions) != (theirs, target.versions):
        raise Conflict(
            "The two databases were not made by the same version of Unbroken.",
            hint=BRING_UP_TO_DATE,
        )
    return {name: (shape, _keyed(target.shapes[name], shape)) for name, shape in source.shapes.items()}


def _keyed(shape: Shape, like: Shape) -> Shape:
    return replace(shape, key=like.key, columns=like.columns)

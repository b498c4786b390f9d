"""The two databases of a move: their tables by the platform's own names, and the right to fill the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import Conflict
from unbroken.store import moves, table_rows
from unbroken.store.whereabouts import SIGN, Whereabouts, whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbroken.flow.move.differences import Difference
    from unbroken.store.contract import Row, Transaction
    from unbroken.store.movable import Movable, Shape
    from unbroken.store.moves import Mark
    from unbroken.store.table_rows import Key

NOT_COPIED: Final = frozenset({SIGN, moves.TABLE})
"""What each database has of its own."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, as it was found.

    Args:
        shapes: its tables, by the platform's own names.
        mark: of the move that it has part in, or of the last one.
    """

    movable: Movable
    whereabouts: Whereabouts
    shapes: Mapping[str, Shape]
    mark: Mark | None

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
        return Side(movable, found, _own_names(shapes, found), mark)

    return await movable.store.read_long(look)


def _own_names(shapes: Mapping[str, Shape], found: Whereabouts) -> dict[str, Shape]:
    own = {name.removeprefix(found.prefix): shape for name, shape in shapes.items() if name.startswith(found.prefix)}
    return {name: shape for name, shape in own.items() if name not in NOT_COPIED}


def refuse_unlike(source: Iterable[Shape], target: Iterable[Shape]) -> None:
    """Let two databases pass that have the same tables, as those of one version of Unbroken have.

    Raises:
        Conflict: naming a table.
    """
    ours, theirs = ({shape.name: frozenset(shape.all) for shape in shapes} for shapes in (source, target))
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise Conflict(
                f"The table {name} is not the same in both databases.",
                hint="Bring the source up to date first: start its servers anew with this version of Unbroken.",
            )


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

    async def change(self, difference: Difference) -> None:
        """Never: it is the source."""
        raise NotImplementedError


class TargetRows(SourceRows):
    """A table that is filled, by one process at a time.

    Args:
        run: of this process.
    """

    def __init__(self, movable: Movable, table: Shape, run: bytes) -> None:
        super().__init__(movable, table)
        self._run = run

    async def change(self, difference: Difference) -> None:
        """See `Rows.change`.

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
    """The tables of both, each with the key of the source: an engine may need a longer one."""
    refuse_unlike(
        [_renamed(shape, name) for name, shape in source.shapes.items()],
        [_renamed(shape, name) for name, shape in target.shapes.items()],
    )
    return {name: (shape, _keyed(target.shapes[name], shape)) for name, shape in source.shapes.items()}


def _renamed(shape: Shape, name: str) -> Shape:
    return replace(shape, name=name)


def _keyed(shape: Shape, like: Shape) -> Shape:
    return replace(shape, key=like.key, columns=like.columns)

"""Whether a database is the platform: a table bears its own name only where it is in use.

A platform that moves has two databases. In the one that is being filled every table is called `arriving_...`, in the
one that was left `departed_...`. So no server of any version finds anything to serve where the platform is not, nobody
pays for looking, and what takes effect in one transaction is a change of names (docs/decisions/0017).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from unbroken.store.contract import StoreDeparted, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Collection

ARRIVING: Final = "arriving_"
DEPARTED: Final = "departed_"
SIGN: Final = "schema_migrations"
"""The table that every version looks for when it opens a database."""


class Whereabouts(StrEnum):
    """What a database is to the platform."""

    EMPTY = "empty"
    HERE = "here"
    ARRIVING = "arriving"
    DEPARTED = "departed"
    FOREIGN = "foreign"

    @property
    def prefix(self) -> str:
        """What stands before the name of each table."""
        return {Whereabouts.ARRIVING: ARRIVING, Whereabouts.DEPARTED: DEPARTED}.get(self, "")


def whereabouts(tables: Collection[str]) -> Whereabouts:
    """What a database is in which there are `tables`."""
    if SIGN in tables:
        return Whereabouts.HERE
    if ARRIVING + SIGN in tables:
        return Whereabouts.ARRIVING
    if DEPARTED + SIGN in tables:
        return Whereabouts.DEPARTED
    return Whereabouts.FOREIGN if tables else Whereabouts.EMPTY


def refuse_elsewhere(tables: Collection[str], place: str) -> None:
    """Let only an empty database pass, or the platform's own.

    Raises:
        StoreRefused: the database at `place` was left, is not filled yet, or is another program's.
    """
    found = whereabouts(tables)
    if found in _WHY_NOT:
        raise StoreRefused(_WHY_NOT[found].format(place=place))


def name_missing_table(error: Exception, tables: Collection[str]) -> Exception:
    """What it means that a statement found a table missing in a database in which there are `tables`."""
    said = _NOT_NOW.get(whereabouts(tables))
    return error if said is None else StoreDeparted(said)


_NOT_NOW: Final = {
    Whereabouts.DEPARTED: "The platform was moved to another database. Ask again where it is now.",
    Whereabouts.ARRIVING: "The platform is being moved to this database, and is still where it was. Ask there.",
}
_WHY_NOT: Final = {
    Whereabouts.DEPARTED: (
        "The platform was moved away from {place} (`unbroken move`). Name the database that it was moved to."
    ),
    Whereabouts.ARRIVING: (
        "{place} is being filled by `unbroken move`, which has not ended. Go on with the platform where it was, and run"
        " `unbroken move` again with the same --from and --to."
    ),
    Whereabouts.FOREIGN: "{place} holds tables of another program. Name another database.",
}

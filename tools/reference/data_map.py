"""The data map: every table and column, what it holds, how it is protected and how long it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.reference import markdown
from unbroken.store.data_map import TABLES, Kind

if TYPE_CHECKING:
    from unbroken.store.data_map import Table

INTRO = """\
Every table and column of the database. A column that is not here, or holds something else than is said here, fails a
test. What the words mean, and why things are so, is in [Data at rest](../explanation/data-at-rest.md)."""


def page() -> str:
    """docs/reference/data-map.md."""
    rows = [[markdown.code(name), one.holds, one.lives, _columns(one)] for name, one in TABLES.items()]
    return "\n".join(
        [
            markdown.heading("The data map", "`src/unbroken/store/data_map.py`", INTRO),
            markdown.table(["table", "holds", "lives", "columns"], rows),
        ]
    )


def _columns(table: Table) -> str:
    said = [
        f"{_loud(kind)}: {', '.join(markdown.code(name) for name in names.split())}"
        for kind, names in table.columns.items()
    ]
    return "; ".join(said)


def _loud(kind: Kind) -> str:
    return f"**{kind}**" if kind in {Kind.PERSONAL, Kind.SEALED} else str(kind)

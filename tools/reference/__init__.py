"""Writes the part of `docs/reference/` that the code already says: one module a page, each a function to Markdown.

python -m tools.reference            write the pages
python -m tools.reference --check    say which are out of date; exit code 1 if one is
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.reference import attestation, cli, data_map, decision_table, errors, http, settings, states

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "decision-table.md": decision_table.page,
    "states.md": states.page,
    "errors.md": errors.page,
    "http.md": http.page,
    "settings.md": settings.page,
    "cli.md": cli.page,
    "data-map.md": data_map.page,
    "attestation.md": attestation.page,
}
"""By file name in docs/reference."""

"""Pages with computed parts, each between `<!-- name -->` and `<!-- end -->`; all else is written by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def fill(text: str, parts: Mapping[str, str]) -> str:
    """The page with these parts in the places of what stood there.

    Raises:
        ValueError: it has no place for one of them.
    """
    for name, part in parts.items():
        found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, flags=re.DOTALL)
        if found is None:
            raise ValueError(f"The page has no place for {name!r}.")
        text = text[: found.start(1)] + part + text[found.end(1) :]
    return text


def rows(lines: Iterable[Sequence[str]]) -> str:
    """Lines of a table; the first two are its head."""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

"""The few pieces of Markdown that the pages are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def heading(title: str, source: str, intro: str) -> str:
    """The beginning of a page, with the note that it is generated."""
    note = f"<!-- Generated from {source} by `make reference`. Change the code, not this page. -->"
    return f"# {title}\n\n{note}\n\n{intro}\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars inside cells are escaped."""
    lines = [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def fence(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```\n"


def example(value: Any) -> str:
    """A value as a block of JSON."""
    return fence("json", json.dumps(value, indent=2, ensure_ascii=False))


def code(text: object) -> str:
    """A word of code in a line."""
    return f"`{text}`"


def first_paragraph(docstring: str | None) -> str:
    """What a docstring says first, on one line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def arguments(docstring: str | None) -> dict[str, str]:
    """The `Args:` of a docstring in Google's form, by name."""
    found: dict[str, str] = {}
    _, _, section = (docstring or "").partition("Args:\n")
    name = ""
    for line in section.splitlines():
        if not line.strip():
            break
        label, colon, text = line.strip().partition(": ")
        if colon and label.replace("`", "").isidentifier():
            name, found[label] = label, text
        else:
            found[name] += f" {line.strip()}"
    return found


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

"""Every setting of the server, and every policy of an app, from the tables in the code."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, get_type_hints

from tools.reference import markdown
from unbroken.domain import app
from unbroken.flow import policies
from unbroken.server import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dataclasses import Field

INTRO = """\
What the command line says goes before the environment, the environment before the default."""

POLICIES = """\
## Policies of an app

Shown and changed with `unbroken app policy APP_ID [KEY=VALUE...]`, also while the server runs; what changes holds from
the next decision on, and the change is a fact of the app's ledger."""


def page() -> str:
    """docs/reference/settings.md."""
    title = markdown.heading(
        "Settings and policies", "`src/unbroken/server/settings.py` and `src/unbroken/domain/app.py`", INTRO
    )
    parts = [title, "## Settings of the server\n", *map(_setting, settings.table()), POLICIES + "\n"]
    return "\n".join([*parts, *_policies()])


def _setting(row: settings.Row) -> str:
    return f"### `{row.variable}`\n\n{row.meaning}\n\nUnit: {row.unit}. Default: `{row.default}`.\n"


def _policies() -> Iterator[str]:
    kinds = get_type_hints(app.Policy)
    meanings = markdown.arguments(app.Policy.__doc__)
    for each in fields(app.Policy):
        kind = kinds[each.name]
        choice = isinstance(kind, type) and issubclass(kind, StrEnum)
        told = _number if each.name in policies.NUMBERS else _words
        text = _choice(each, kind) if choice else told(each, meanings[each.name])
        yield f"### `{each.name}`\n\n{text}\n"


def _choice(each: Field[object], kind: type[StrEnum]) -> str:
    values = ", ".join(f"`{value}`" for value in kind)
    return f"{markdown.first_paragraph(kind.__doc__)} One of {values}; default `{each.default}`."


def _number(each: Field[object], meaning: str) -> str:
    least, most = policies.NUMBERS[each.name]
    return f"{meaning[0].upper()}{meaning[1:]} From {least} to {most}; default {each.default}."


def _words(each: Field[object], meaning: str) -> str:
    return f"{meaning[0].upper()}{meaning[1:]} Default `{each.default}`."

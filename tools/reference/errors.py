"""Every error code: what it means, its status, which calls can answer with it. From the tree of refusals."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from tools.reference import markdown
from tools.reference.calls import CALLS, anchor
from unbroken.domain.errors import RateLimited, Refusal, leaves
from unbroken.server.openapi import generic_errors
from unbroken.server.problems import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRO = """\
Every error has the same body: `message` for people, `errorCode` for programs, `ref` (also in the `X-Request-Id` header
and in the platform's log line), and where they help `hint` and `errors`, a list of `path` and `message`.

The [backend kit](sdk.md#the-backend-kit) raises one class per code, named as here, from `unbroken.backend.errors`. What
the SDK makes of them is in [its reference](sdk.md#what-can-go-wrong)."""

NEVER_SENT = """\
## `MULTIPLE_INSTALLS_ACTIVE`

Never sent. The reference platform answers it where a user has several active installs; here the database refuses to
hold that, so client code that handles the code may stay as it is and will not run."""


RESERVED: Final = {RateLimited: "Reserved, so that clients handle it: this release has no rate limits."}


def page() -> str:
    """docs/reference/errors.md."""
    found = sorted(leaves(), key=lambda leaf: leaf.code)
    by_code = {code: list(group) for code, group in groupby(found, key=lambda leaf: leaf.code)}
    title = markdown.heading("Errors", "`src/unbroken/domain/errors.py` and `src/unbroken/server/problems.py`", INTRO)
    overview = markdown.table(
        ("code", "status", "meaning"),
        [
            (f"[`{leaf.code}`](#{leaf.code.lower()})", str(STATUS[leaf]), markdown.first_paragraph(leaf.__doc__))
            for leaf in found
        ],
    )
    parts = [title, overview, *(_section(code, group) for code, group in by_code.items()), NEVER_SENT + "\n"]
    return "\n".join(parts)


def _section(code: str, group: list[type[Refusal]]) -> str:
    return f"## `{code}`\n\n" + "\n".join(map(_leaf, group))


def _leaf(leaf: type[Refusal]) -> str:
    branch = next(base for base in leaf.__mro__[1:] if base is not leaf)
    lines = [
        f"**{STATUS[leaf]}** · `{leaf.__name__}` · {markdown.first_paragraph(leaf.__doc__)}",
        f"Kind: `{branch.__name__}`. {markdown.first_paragraph(branch.__doc__)}",
        _where(leaf),
    ]
    return "\n\n".join(lines) + "\n"


def _where(leaf: type[Refusal]) -> str:
    if leaf in RESERVED:
        return RESERVED[leaf]
    own = list(_calls_that_name(leaf))
    if own:
        return f"Answered by {', '.join(own)}."
    if any(leaf in generic_errors(route) for route in CALLS):
        return "Any call can answer it that has what it is about: a body, a credential, a scope, a path."
    return "No call of this release answers it."


def _calls_that_name(leaf: type[Refusal]) -> Iterator[str]:
    for route in CALLS:
        if leaf in route.errors:
            yield f"[`{route.name}`](http.md#{anchor(route)})"

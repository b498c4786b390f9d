"""The decision table of linking, from `domain/link.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.reference import markdown
from unbroken.domain.link import ROWS, Effect
from unbroken.server.problems import STATUS

if TYPE_CHECKING:
    from unbroken.domain.link import Row

INTRO = """\
A link call says: install **I** belongs to the person whom the customer knows by external id **E**. **O** is the user
that was made together with I; **U** is the user that carries E, if one does. The key's own checks (401, 403, an invalid
body) come first. Then the first row that matches decides; whoever links by an [authentication code](linking.md) enters
at row 4. Rows are named as metrics and `explain` name them."""

OUTRO = """\
"Pristine" means that no payload of I was ever acknowledged. `used_install` is a
[policy](settings.md#used_install) of the app. `MULTIPLE_INSTALLS_ACTIVE` of the reference platform has no row: the
database refuses to hold two active installs of one user. What happens to activations after a join is in
[Linking and activation](linking.md)."""


def page() -> str:
    """docs/reference/decision-table.md."""
    columns = ("row", "condition", "answer", "effect")
    rows = [(row.number, row.condition, *_answer(row)) for row in ROWS]
    title = markdown.heading("The decision table", "`src/unbroken/domain/link.py`", INTRO)
    return f"{title}\n{markdown.table(columns, rows)}\n{OUTRO}\n"


def _answer(row: Row) -> tuple[str, str]:
    if isinstance(row.answer, Effect):
        return "200", row.answer.value
    status, name = STATUS[row.answer], row.answer.code
    return f"{status} [`{name}`](errors.md#{name.lower()})", "none"

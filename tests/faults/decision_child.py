"""Undos and links for test_decisions_killed.py, killed at each statement that writes (`killing.py`).

python decision_child.py PLACE EVERY undo LINK_ID
python decision_child.py PLACE EVERY link INSTALL_ID EXTERNAL_ID
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

from tests.faults.killing import Doing, at_each_statement
from tests.faults.place import told

from unbroken import wire
from unbroken.flow import link, undo
from unbroken.flow.operate import Order
from unbroken.randomness import SeededRandomness

if TYPE_CHECKING:
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context


class Fixed(SeededRandomness):
    """Secrets too are the same in every run, so that two runs can be compared byte for byte."""

    def __init__(self) -> None:
        super().__init__(seed=2)
        self._secrets = 0

    def secret(self, size_bytes: int) -> bytes:
        self._secrets += 1
        return hashlib.sha512(b"%d" % self._secrets).digest()[:size_bytes]


def doing(what: str, *ids: str) -> Doing:
    async def undone(context: Context, caller: KeyCaller) -> Any:
        return await undo.undo(context, caller, ids[0], Order())

    async def linked(context: Context, caller: KeyCaller) -> Any:
        return await link.link(context, caller, ids[0], wire.Link(ids[1]), dry_run=False, same=None)

    return {"undo": undone, "link": linked}[what]


def writes(statement: str) -> bool:
    """Whether something may reach the disk where it runs; between two of them there is nothing to be torn."""
    return not statement.startswith("SELECT")


if __name__ == "__main__":
    place, (every, *words) = told(sys.argv[1:])
    at_each_statement(place, int(every), doing(*words), counts=writes, randomness=Fixed())

"""Operations: what one process asked of the platform, when, and what it was told.

A history is a list of operations. Instants are nanoseconds of the machine's monotonic clock, which all its processes
share. An operation without an answer (a lost reply, a 5xx, a server killed at its work) may have happened or not, at
any instant after it was asked.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

READS: Final = frozenset({"state", "find", "profile", "installs"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and the members of the reply that the specification speaks of; of an error, its `code`."""

    status: int
    told: Mapping[str, Any]

    def __str__(self) -> str:
        return " ".join([str(self.status), *[f"{name}={value}" for name, value in self.told.items()]])


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One call.

    Args:
        number: unique in its history.
        process: who called; it has one call under way at a time.
        kind: register, link, undo, reset, state, find, profile or installs.
        asked: what was sent: install, account, user, link, form, key.
        invoked_ns: before the first byte was sent.
        returned_ns: after the last byte came; None without an answer.
        answer: None where the outcome is unknown.
    """

    number: int
    process: int
    kind: str
    asked: Mapping[str, str]
    invoked_ns: int
    returned_ns: int | None
    answer: Answer | None

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.asked.get("key")

    @property
    def names(self) -> frozenset[str]:
        """Every install, account, user and link that it names or was told of."""
        named = {f"{name} {value}" for name, value in self.asked.items() if name not in {"form", "key"}}
        return frozenset(named | _told(self.answer.told if self.answer is not None else {}))

    def forgotten(self) -> Operation:
        """The same with an unknown outcome."""
        return replace(self, returned_ns=None, answer=None)

    def answered(self, answer: Answer) -> Operation:
        """The same with another answer."""
        return replace(self, answer=answer)


_WHAT: Final = {
    "install_id": "install",
    "id": "user",
    "user_id": "user",
    "own_user_id": "user",
    "external_id": "account",
    "link_id": "link",
    "undo_id": "link",
}


def _told(members: Mapping[str, Any]) -> set[str]:
    found = {f"{_WHAT[name]} {value}" for name, value in members.items() if name in _WHAT and value is not None}
    for install, (_, link_id) in members.get("installs", {}).items():
        found |= {f"install {install}"} | ({f"link {link_id}"} if link_id is not None else set())
    return found


def in_order(operations: Iterable[Operation]) -> list[Operation]:
    """By the instant at which they were asked."""
    return sorted(operations, key=lambda operation: (operation.invoked_ns, operation.number))


def until(operations: Iterable[Operation], instant_ns: int) -> list[Operation]:
    """The history as it was known at an instant: what had not returned by then has an unknown outcome."""
    return [
        operation
        if operation.returned_ns is not None and operation.returned_ns <= instant_ns
        else operation.forgotten()
        for operation in operations
        if operation.invoked_ns <= instant_ns
    ]


def write(path: Path, operations: Iterable[Operation]) -> None:
    """One line of JSON for each."""
    path.write_text("".join(json.dumps(asdict(operation)) + "\n" for operation in operations))


def read(path: Path) -> list[Operation]:
    """What `write` wrote."""
    return [parsed(json.loads(line)) for line in path.read_text().splitlines()]


def parsed(fields: dict[str, Any]) -> Operation:
    """An operation from its members as JSON has them."""
    answer = fields["answer"]
    return Operation(**{**fields, "answer": None if answer is None else Answer(**answer)})

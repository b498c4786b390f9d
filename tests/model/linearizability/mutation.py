"""Mutations: one answer of a real history is replaced by one that the platform gives at other times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.model.linearizability.operations import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random  # noqa: TID251 - a type; whoever asks has seeded it

    from tests.model.linearizability.operations import Operation

_STATES: Final = ("active", "standby", "superseded", "deleted")
_WHOLE: Final = {"register", "reset"}  # their answers say nothing that could be otherwise


def flipped(history: Sequence[Operation], random: Random) -> list[Operation]:
    """The history with another answer to one of its operations, which comes last."""
    while True:
        chosen = random.choice(history)
        if chosen.kind in _WHOLE or chosen.answer is None:
            continue
        lie = _lie(chosen, history, random)
        if lie is not None:
            return [one for one in history if one is not chosen] + [chosen.answered(lie)]


def _lie(operation: Operation, history: Sequence[Operation], random: Random) -> Answer | None:
    """One member changed to what it is in another answer, or another answer as a whole; None if there is none."""
    answers = [one.answer for one in history if one.kind == operation.kind and one.answer is not None]
    assert operation.answer is not None
    told = operation.answer.told
    if told.get("installs"):
        return Answer(200, {"installs": _other_state(told["installs"], random)})
    if not told:
        return None
    name = random.choice(sorted(told))
    values = [answer.told[name] for answer in answers if name in answer.told and answer.told[name] != told[name]]
    if values and operation.answer.status == 200:
        return Answer(200, {**told, name: random.choice(values)})
    others = [answer for answer in answers if answer.status != operation.answer.status]
    return random.choice(others) if others else None


def _other_state(views: dict[str, Any], random: Random) -> dict[str, Any]:
    install = random.choice(sorted(views))
    state, link = views[install]
    return {**views, install: (random.choice([other for other in _STATES if other != state]), link)}

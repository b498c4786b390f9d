"""Simulation: a history that is linearizable for certain, as it was made one call after another.

Each call has its effect at an instant of its own, was sent some time before and answered some time after, so that calls
of several processes overlap as real ones do. The reply of some is lost, and of these some have had their effect.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.model.linearizability.operations import Answer, Operation
from tests.model.linearizability.specification import ANY, NOTHING, Unknown, outcomes, steps

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 - a type; whoever asks has seeded it

    from tests.model.linearizability.specification import State

INSTALLS: Final = 6
ACCOUNTS: Final = 3
_KINDS: Final = {"link": 30, "find": 14, "state": 14, "installs": 12, "profile": 8, "undo": 10, "reset": 3}
_OVERLAP: Final = 3.0  # how many effects of others a call's span covers on the mean, to either side
_LOST: Final = 0.06


class Simulation:
    """Makes calls one after another, and what is known of each."""

    def __init__(self, random: Random, processes: int = 8) -> None:
        self.history: list[Operation] = []
        self._random = random
        self._free_at = [0.0] * processes  # from when on each process can send its next call
        self._state: State = NOTHING
        self._installs: list[str] = []
        self._links: list[str] = []
        self._users: list[str] = []

    def run(self, calls: int) -> list[Operation]:
        for _ in range(INSTALLS):
            self._register()
        while len(self.history) < calls:
            self._one_call()
        return self.history

    def _register(self) -> None:
        """At no time with another call: of two that register at once nobody knows the older."""
        place = len(self.history)
        install, form = f"install-{place}", self._random.choice(["phone", "phone", "tablet"])
        told = {"install_id": install, "user_id": f"own-{place}"}
        self._installs.append(install)
        self._users.append(told["user_id"])
        call = self._sent("register", {"form": form}, overlap=0.0)
        self._note(call, Answer(201, told), is_lost=False, overlap=0.0)

    def _one_call(self) -> None:
        kind = self._random.choices(list(_KINDS), list(_KINDS.values()))[0]
        if kind == "undo" and not self._links:
            return
        call = self._sent(kind, self._asked(kind))
        _, reply = next(iter(outcomes(self._state, call)))
        is_lost = self._random.random() < _LOST
        if is_lost and self._random.random() < 0.5:
            self.history.append(call)  # it never arrived
            return
        told = {name: _given(value) for name, value in reply.told}
        self._note(call, Answer(reply.status, told), is_lost=is_lost)
        if kind == "reset":
            self._installs.remove(call.asked["install"])
            self._register()

    def _asked(self, kind: str) -> dict[str, str]:
        install = self._random.choice(self._installs)
        account = f"person-{self._random.randrange(ACCOUNTS)}"
        match kind:
            case "link":
                return {"install": install, "account": account}
            case "undo":
                return {"link": self._random.choice(self._links[-6:])}
            case "find":
                return {"account": account}
            case "profile" | "installs":
                return {"user": self._random.choice(self._users[-6:])}
            case _:
                return {"install": install}

    def _sent(self, kind: str, asked: dict[str, str], overlap: float = _OVERLAP) -> Operation:
        """By the process that was free first; the effect is at the instant of its number."""
        number = len(self.history)
        process = min(range(len(self._free_at)), key=lambda one: self._free_at[one])
        begin = max(self._free_at[process], number - self._random.random() * overlap)
        self._free_at[process] = max(begin, number) + 1e-3
        return Operation(number, process, kind, asked, int(min(begin, number) * 1e9), None, None)

    def _note(self, call: Operation, answer: Answer, *, is_lost: bool, overlap: float = _OVERLAP) -> None:
        end = call.number + 1e-3 + self._random.random() * overlap
        returned = replace(call, returned_ns=int(end * 1e9), answer=answer)
        self._state = next(iter(steps(self._state, returned)))
        self._free_at[call.process] = end + 1e-3
        self.history.append(call if is_lost else returned)
        if not is_lost and answer.status == 200:
            self._links += [answer.told[name] for name in ("link_id", "undo_id") if name in answer.told]


def _given(value: Any) -> Any:
    """What the platform chooses where the specification leaves it open."""
    if value == ANY:
        return "whoever"
    if isinstance(value, Unknown):
        return f"{value.what} {value.of}"
    if isinstance(value, dict):
        return {install: tuple(_given(part) for part in view) for install, view in value.items()}
    return value

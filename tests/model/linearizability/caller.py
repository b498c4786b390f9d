"""One of the processes that call the platform at once: `python -m tests.model.linearizability.caller`.

It reads one task a line from its input, and writes the operations that it made for it as one line. What it learns (an
install, a link) it also writes to the task's board, a file that all processes of a run read and append to: so they know
of each other's installs and links, and collide.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, so that the same calls can be planned again
from typing import TYPE_CHECKING, Any, Final

from tests.model.api import PHONE, TABLET, Api, App, Connection, random_uuid
from tests.model.linearizability.board import Board
from tests.model.linearizability.operations import Answer, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.api import Reply

PATIENCE_S: Final = 120.0
_DEVICES: Final = 6
_ACCOUNTS: Final = 3
_SHARED: Final = 0  # the device that two people use in turn
_TABLETS: Final = (1, 2)
_TRIES_MAX: Final = 4
_GONE_S: Final = 0.02  # between two looks whether a server is there again
_WEIGHTS: Final = {"link": 34, "find": 14, "state": 12, "installs": 12, "profile": 8, "undo": 9, "reset": 4}
_FORMS: Final = {"phone": PHONE, "tablet": TABLET}


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do in one run.

    Args:
        base_urls: of the API processes; each call goes to one of them.
        app: id, secret and key.
        board: the file where all processes of the run write what they learned.
        seed: of the run.
        process: which of the run's processes this one is.
        calls: how many calls to make.
    """

    base_urls: list[str]
    app: list[str]
    board: str
    seed: int
    process: int
    calls: int


class Caller:
    """Makes the calls of one task, one at a time, and notes what came of each."""

    def __init__(self, task: Task) -> None:
        self.operations: list[Operation] = []
        self._task = task
        self._random = Random(task.seed * 100 + task.process)
        self._app = App(*task.app)
        self._apis = [Api(Connection(base_url), lab=False) for base_url in task.base_urls]
        self._failing: set[Api] = set()  # those that answered last that they cannot
        self._board = Board(Path(task.board))
        self._count = 0

    def register_all(self) -> list[Operation]:
        """Register every device, one after another: of two that are registered at once nobody knows the older."""
        with self._connections():
            for device in range(_DEVICES):
                self._register(device)
        return self.operations

    def run(self) -> list[Operation]:
        """Make the task's calls."""
        with self._connections():
            for _ in range(self._task.calls):
                self._board.look()
                self._one_call()
        return self.operations

    @contextmanager
    def _connections(self) -> Iterator[None]:
        try:
            yield
        finally:
            for api in self._apis:
                api.connection.close()

    def _one_call(self) -> None:
        kind = self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        device = self._random.randrange(_DEVICES)
        if device not in self._board.installs:
            self._register(device)
            return
        install = self._board.installs[device]
        asked = self._asked(kind, install["install_id"])
        if asked is None:
            return
        for _ in range(_TRIES_MAX):
            if self._make(kind, asked, install) or self._random.random() < 0.4:
                break
        if kind == "reset":
            self._register(device)

    def _account(self, device: int) -> str:
        """Two devices are one person's; one of them is used by somebody else at times."""
        is_lent = device == _SHARED and self._random.random() < 0.3
        return f"person-{self._task.seed}-{(device + is_lent) % _ACCOUNTS}"

    def _asked(self, kind: str, install: str) -> dict[str, str] | None:
        """What the call is about; None if nothing is known yet that it could be about."""
        key = {"key": self._key()} if self._random.random() < 0.7 else {}
        account = self._account(self._random.randrange(_DEVICES))
        match kind:
            case "link":
                return {"install": install, "account": self._account_of(install), **key}
            case "undo":
                return {"link": self._random.choice(self._board.links[-8:]), **key} if self._board.links else None
            case "find":
                return {"account": account}
            case "profile" | "installs":
                return {"user": self._random.choice(self._board.users[-8:])}
            case _:
                return {"install": install}

    def _account_of(self, install: str) -> str:
        return self._account(next(n for n, one in self._board.installs.items() if one["install_id"] == install))

    def _key(self) -> str:
        self._count += 1
        return random_uuid(self._task.seed, self._task.process, self._count)

    def _register(self, device: int) -> None:
        form = "tablet" if device in _TABLETS else "phone"
        self._make("register", {"form": form, "key": self._key()}, {"device": str(device)})

    def _make(self, kind: str, asked: dict[str, str], install: dict[str, str]) -> bool:
        """Call once; whether it was answered."""
        api = self._random.choice(self._apis)
        self._await_serving(api)
        api.connection.timeout_s = self._patience_s()
        invoked_ns = time.monotonic_ns()
        reply = self._reply(api, lambda: _SEND[kind](api, self._app, asked, install))
        returned_ns = None if reply is None else time.monotonic_ns()
        answer = None if reply is None else _answer(kind, reply)
        number = self._task.process + 1000 * len(self.operations)
        self.operations.append(Operation(number, self._task.process, kind, asked, invoked_ns, returned_ns, answer))
        self._board.write(_learned(kind, answer, reply, install))
        return answer is not None

    def _patience_s(self) -> float:
        """How long it waits for the reply: mostly long enough; at times it hangs up in the middle of the work."""
        if not self._task.calls:
            return PATIENCE_S
        return self._random.choices([PATIENCE_S, self._random.uniform(2e-4, 8e-3), 0.5], [90, 4, 6])[0]

    def _reply(self, api: Api, call: Callable[[], Reply]) -> Reply | None:
        """None where the outcome is not known."""
        try:
            reply = call()
        except ConnectionError:
            return None
        if reply.status < 500:
            return reply
        self._failing.add(api)
        return None

    def _await_serving(self, api: Api) -> None:
        """A call to a server that is down has no effect, so it is not made; wait until one listens again.

        One that said that it cannot, as its database is away, is asked for nobody until it can.
        """
        deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
        api.connection.timeout_s = PATIENCE_S
        while not api.connection.can_open() or (api in self._failing and not self._can_serve(api)):
            assert time.monotonic() < deadline, f"nothing is served for {PATIENCE_S:.0f} s"
            pause.wait(_GONE_S)
        self._failing.discard(api)

    def _can_serve(self, api: Api) -> bool:
        try:
            return api.find(self._app.bearer, "nobody").status < 500
        except ConnectionError:
            return False


_SEND: Final[dict[str, Callable[[Api, App, dict[str, str], dict[str, str]], Reply]]] = {
    "register": lambda api, app, asked, _: api.register(app.basic, _FORMS[asked["form"]], key=asked["key"]),
    "link": lambda api, app, asked, _: api.link(app.bearer, asked["install"], asked["account"], key=asked.get("key")),
    "undo": lambda api, app, asked, _: api.undo(app.bearer, asked["link"], key=asked.get("key")),
    "reset": lambda api, _, __, install: api.reset(install["credential"]),
    "state": lambda api, _, __, install: api.own_state(install["token"]),
    "find": lambda api, app, asked, _: api.find(app.bearer, asked["account"]),
    "profile": lambda api, app, asked, _: api.profile(app.bearer, asked["user"]),
    "installs": lambda api, app, asked, _: api.installs(app.bearer, asked["user"]),
}
_TOLD: Final = {
    "register": ("install_id", "user_id"),
    "link": ("id", "link_id", "state"),
    "undo": ("undo_id", "link_id", "user_id", "own_user_id"),
    "reset": (),
    "state": ("user_id", "state", "linked"),
    "find": ("id", "install_id", "external_id"),
    "profile": ("id", "install_id", "external_id"),
}


def _answer(kind: str, reply: Reply) -> Answer:
    if reply.status >= 400:
        return Answer(reply.status, {"code": reply.code})
    if kind == "installs":
        views = reply.json["installs"]
        return Answer(reply.status, {"installs": {one["install_id"]: (one["state"], one["link_id"]) for one in views}})
    return Answer(reply.status, {name: reply.json[name] for name in _TOLD[kind]})


def _learned(kind: str, answer: Answer | None, reply: Reply | None, install: dict[str, str]) -> dict[str, Any]:
    """What others can make use of."""
    if answer is None or answer.status >= 300 or kind not in {"register", "link", "undo"}:
        return {}
    told = answer.told
    users = [told[name] for name in ("id", "user_id", "own_user_id") if name in told]
    links = [told[name] for name in ("link_id", "undo_id") if name in told]
    if kind != "register":
        return {"users": users, "links": links}
    assert reply is not None
    token, credential = reply.json["user_token"]["token"], reply.json["install_credential"]
    known = {"device": int(install["device"]), "install_id": told["install_id"]}
    return {**known, "users": users, "token": token, "credential": credential}


def _tasks() -> Iterator[Task]:
    for line in sys.stdin:
        yield Task(**json.loads(line))


def main() -> None:
    for task in _tasks():
        made = Caller(task).run()
        print(json.dumps([asdict(operation) for operation in made]), flush=True)


if __name__ == "__main__":
    main()

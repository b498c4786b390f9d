"""Scenes: histories written by hand. One call after another unless it is said when a call began and ended."""

from __future__ import annotations

from typing import Any

from tests.model.linearizability.operations import Answer, Operation

Span = tuple[float, float] | None


class Scene:
    """Writes down calls, each of two seconds and a second after the one before, where nothing else is said."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._now = 0.0

    def register(self, install: str, form: str = "phone", *, at: Span = None) -> None:
        """Its own user is called as the install, with `own-` before it."""
        told = {"install_id": install, "user_id": f"own-{install}"}
        self._note("register", {"form": form}, Answer(201, told), at, 0)

    def link(
        self, install: str, account: str, link: str, user: str, state: str = "active", *,
        at: Span = None, process: int = 1, key: str | None = None,
    ) -> None:  # fmt: skip
        told = {"id": user, "link_id": link, "state": state}
        self._note("link", _keyed(key, install=install, account=account), Answer(200, told), at, process)

    def refused(self, kind: str, status: int, code: str, *, at: Span = None, process: int = 1, **asked: str) -> None:
        self._note(kind, asked, Answer(status, {"code": code}), at, process)

    def lost(self, kind: str, *, at: float | None = None, process: int = 1, **asked: str) -> None:
        """A call whose reply never came."""
        span = None if at is None else (at, at)
        self._note(kind, asked, None, span, process)

    def undo(
        self, link: str, undo: str, user: str, own: str, *, of: str | None = None, at: Span = None, process: int = 1,
        key: str | None = None,
    ) -> None:  # fmt: skip
        """Undo `link`; where that is itself an undo, `of` is the link it is about."""
        told = {"undo_id": undo, "link_id": of or link, "user_id": user, "own_user_id": own}
        self._note("undo", _keyed(key, link=link), Answer(200, told), at, process)

    def reset(self, install: str, *, at: Span = None, process: int = 1) -> None:
        self._note("reset", {"install": install}, Answer(204, {}), at, process)

    def state(
        self, install: str, user: str, state: str, *, linked: bool = True, at: Span = None, process: int = 2
    ) -> None:
        told = {"user_id": user, "state": state, "linked": linked}
        self._note("state", {"install": install}, Answer(200, told), at, process)

    def find(
        self, account: str, user: str | None, install: str | None = None, *, at: Span = None, process: int = 2
    ) -> None:
        """Look an account up; None for the user is 404."""
        told = {"id": user, "install_id": install, "external_id": account}
        answer = Answer(404, {"code": "NOT_FOUND"}) if user is None else Answer(200, told)
        self._note("find", {"account": account}, answer, at, process)

    def profile(
        self, asked: str, user: str, install: str | None, account: str | None, *, at: Span = None, process: int = 2
    ) -> None:
        told = {"id": user, "install_id": install, "external_id": account}
        self._note("profile", {"user": asked}, Answer(200, told), at, process)

    def installs(self, user: str, *, at: Span = None, process: int = 2, **views: tuple[str, str | None]) -> None:
        """The installs of a user, each with its state and the id of its link."""
        self._note("installs", {"user": user}, Answer(200, {"installs": views}), at, process)

    def _note(self, kind: str, asked: dict[str, str], answer: Answer | None, at: Span, process: int) -> None:
        begin, end = at or (self._now + 1, self._now + 3)
        self._now = max(self._now, end)
        returned_ns = None if answer is None else int(end * 1e9)
        number = len(self.operations)
        self.operations.append(Operation(number, process, kind, asked, int(begin * 1e9), returned_ns, answer))


def _keyed(key: str | None, **asked: Any) -> dict[str, Any]:
    return asked if key is None else {**asked, "key": key}

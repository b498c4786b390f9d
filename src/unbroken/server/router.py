"""From method and path to a row of the table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from unbroken.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.server.route import Route

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SEGMENT_MAX_CHARACTERS: Final = 1_000
_ORDINARY: Final = re.compile(rb"/[\w./:~-]{,200}")
"""A path that says what it means: nothing is escaped in it, and nothing of it too long."""


class WrongMethod(Exception):
    """A path that is there, but not for this method.

    Args:
        allowed: the methods that it knows.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(self.allowed)


class Match(NamedTuple):
    """A row, and the path's parameters by name, percent-decoded."""

    route: Route
    path: dict[str, str]


class _Row(NamedTuple):
    """A row, and at which segment of its path each parameter stands."""

    route: Route
    parameters: list[tuple[int, str]]


class _Node:
    """One segment of the paths: what may follow it, and the rows that end here."""

    __slots__ = ("literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, _Row] = {}


class Router:
    """The table as a tree of segments. A literal segment goes before a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        segments = route.path.split("/")[1:]
        for segment in segments:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.name} is in the table twice.")
        parameters = [(at, segment[1:-1]) for at, segment in enumerate(segments) if segment.startswith("{")]
        node.routes[route.method] = _Row(route, parameters)

    def match(self, method: str, raw_path: bytes) -> Match:
        """The row of a request; HEAD goes where GET goes.

        Raises:
            NotFound: no such path; one with broken escapes or control characters is none.
            WrongMethod: the path is there, but not for this method.
        """
        segments = _segments(raw_path)
        node = _find(self._root, segments, 0)
        if node is None:
            raise NotFound("There is no such path.", hint="All paths are listed at /schema.")
        row = node.routes.get("GET" if method == "HEAD" else method)
        if row is None:
            raise WrongMethod(_methods(node))
        return Match(row.route, {name: segments[at] for at, name in row.parameters})


def _methods(node: _Node) -> set[str]:
    return set(node.routes) | ({"HEAD"} if "GET" in node.routes else set())


def _find(node: _Node, segments: list[str], at: int) -> _Node | None:
    if at == len(segments):
        return node if node.routes else None
    literal = node.literals.get(segments[at])
    found = _find(literal, segments, at + 1) if literal is not None else None
    if found is None and node.parameter is not None and segments[at]:
        return _find(node.parameter, segments, at + 1)
    return found


def _segments(raw_path: bytes) -> list[str]:
    if _ORDINARY.fullmatch(raw_path):
        return raw_path.decode("ascii").split("/")[1:]
    if not raw_path.startswith(b"/") or _BAD_ESCAPE.search(raw_path):
        raise NotFound("There is no such path.")
    try:
        segments = [unquote_to_bytes(segment).decode("utf-8") for segment in raw_path.split(b"/")[1:]]
    except UnicodeDecodeError as error:
        raise NotFound("There is no such path.") from error
    for segment in segments:
        if len(segment) > _SEGMENT_MAX_CHARACTERS or any(ord(character) < 0x20 for character in segment):
            raise NotFound("There is no such path.")
    return segments

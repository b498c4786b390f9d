"""The calls of a platform, read from the document it serves: what can be attacked is what it says it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_METHODS: Final = ("get", "post", "put", "delete", "patch")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call.

    Args:
        kinds: the credentials that may make it: `apiKey`, `userToken`, `installCredential`, `appSecret`.
        is_open: anybody may, without a credential.
        scope: what an API key must carry; empty where none may call.
        query: required parameters, with the document's examples.
        body: the document's example of a body; None where none is taken.
        takes: the names of all parameters in query and header.
    """

    method: str
    path: str
    kinds: frozenset[str]
    is_open: bool
    scope: str
    query: Mapping[str, str]
    body: Any
    takes: frozenset[str]

    @property
    def name(self) -> str:
        """`GET /v2/users/{user_id}`."""
        return f"{self.method} {self.path}"

    @property
    def slug(self) -> str:
        """The same as a part of an id."""
        return f"{self.method.lower()}-{'-'.join(re.findall(r'[a-z0-9_.-]+', self.path.lower()))}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(_PARAMETER.findall(self.path))

    def target(self, ids: Mapping[str, str]) -> str:
        """Its path with these ids in it."""
        return _PARAMETER.sub(lambda found: quote(ids[found[1]], safe=""), self.path)


def read_operations(document: Any) -> list[Operation]:
    """Every call of an OpenAPI document, deletions last: what they would destroy, the others need.

    Raises:
        ValueError: it is no such document.
    """
    try:
        found = [
            _operation(method.upper(), path, said)
            for path, item in document["paths"].items()
            for method, said in item.items()
            if method in _METHODS
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"The platform serves no OpenAPI document: {error!r}") from error
    return sorted(found, key=lambda operation: operation.method == "DELETE")


def _operation(method: str, path: str, said: Any) -> Operation:
    security = said.get("security", [])
    parameters = said.get("parameters", [])
    scopes: list[str] = next((row["apiKey"] for row in security if "apiKey" in row), [])
    content = said.get("requestBody", {}).get("content", {})
    return Operation(
        method,
        path,
        frozenset(kind for row in security for kind in row),
        not security,
        scopes[0] if scopes else "",
        dict(_required(parameters)),
        content.get("application/json", {}).get("example"),
        frozenset(one["name"] for one in parameters if one["in"] != "path"),
    )


def _required(parameters: Any) -> Iterator[tuple[str, str]]:
    for one in parameters:
        if one["in"] == "query" and one["required"]:
            yield one["name"], str(one.get("example", "x"))

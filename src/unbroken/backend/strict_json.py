"""JSON that a stranger, or a stranger's proof, brings: in UTF-8, and with one reading only."""

from __future__ import annotations

import json
from typing import Any


def read_strict_json(data: bytes) -> Any:
    """The value, as builtins.

    Two readers of a member that is named twice may each take another one, so it is refused, at any depth.

    Raises:
        ValueError: it is not JSON in UTF-8, or a member is named twice.
        RecursionError: it is nested very deep.
    """
    return json.loads(data.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_constant)


def _once_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(members)
    if len(named) != len(members):
        raise ValueError("a member is named twice")
    return named


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

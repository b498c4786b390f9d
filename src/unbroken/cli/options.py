"""Options that every command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import parse_id

Data: TypeAlias = Annotated[
    Path, typer.Option("--data", envvar="UNBROKEN_DATA", help="The data directory.", file_okay=False)
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

DATA_DEFAULT = Path("unbroken-data")
POSITION_MAX = 2**63 - 1  # what the databases count to


def id_of(text: str, what: str) -> bytes:
    """The id that a command was given.

    Raises:
        InvalidRequest: it is none.
    """
    found = parse_id(text)
    if found is None:
        raise InvalidRequest(f"{text!r} is not the id of {what}: 24 hex characters.")
    return found


def content_of(path: Path) -> bytes:
    """What is in the file that a command was given.

    Raises:
        InvalidRequest: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}.") from error

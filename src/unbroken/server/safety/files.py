"""The data directory and the keys in it: whose they are, and who else reaches them."""

from __future__ import annotations

import os
from stat import S_IWOTH
from typing import TYPE_CHECKING, Final

from unbroken.server import data_directory, keys
from unbroken.server.safety.finding import Finding, problem, warning, well
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unbroken.server.settings import Settings

_MADE: Final = "not there yet. The first `unbroken serve` makes it."
_LOST: Final = "missing beside a database. Restore it from a backup."
_LOST_OR_MADE: Final = (
    "missing. Where a PostgreSQL database is named that a platform is in, copy it from the data directory of another"
    " server, or restore it from a backup; where nothing was stored yet, `unbroken serve` makes it."
)


def examine(settings: Settings, *, is_lab: bool) -> Iterator[Finding]:
    """Every check of a directory that is there."""
    yield directory(settings.data)
    if (settings.data / keys.KEYS_FILE).exists():
        yield own_keys(settings.data, is_lab=is_lab)


def directory(data: Path) -> Finding:
    """The directory itself."""
    check = "data directory"
    if not data.is_dir():
        return problem(check, f"{data} is not there. `unbroken serve` makes it, or name another with --data.")
    found = data.stat()
    if found.st_uid != os.geteuid():
        return problem(
            check,
            f"{data} belongs to another account ({found.st_uid}), which could put other keys there: run this"
            " as that one, or chown it.",
        )
    if found.st_mode & S_IWOTH:
        return problem(check, f"Others can write to {data}, and put their own keys there. Run: chmod 700 {data}")
    if found.st_mode & 0o077:
        return warning(
            check, f"{data} is open to other accounts (mode {found.st_mode & 0o077:03o}). Run: chmod 700 {data}"
        )
    return well(check, f"{data.resolve()} is there, and for its owner only.")


def own_keys(data: Path, *, is_lab: bool) -> Finding:
    """The file with the keys."""
    check, path = "keys", data / keys.KEYS_FILE
    if not path.exists():
        return problem(check, f"{path} is {_what_is_missing(data)}")
    trouble = _trouble_of(path, is_lab=is_lab)
    if trouble is not None:
        return problem(check, trouble)
    return well(check, "The platform's keys are there, and for their owner only. Back them up apart from the database.")


def _what_is_missing(data: Path) -> str:
    if (data / data_directory.DATABASE_FILE).exists():
        return _LOST
    return _LOST_OR_MADE if (data / data_directory.MODE_FILE).exists() else _MADE


def _trouble_of(path: Path, *, is_lab: bool) -> str | None:
    if keys.is_readable_by_others(path):
        return f"Others can read {path}. Run: chmod 600 {path}"
    if path.stat().st_uid != os.geteuid():
        return f"{path} belongs to another account ({path.stat().st_uid}): run this as that one, or chown the file."
    try:
        if keys.are_guessable(path) and not is_lab:
            return f"The keys in {path} were not made by chance. Where nothing is stored yet, move the file away."
    except CannotStart as damage:
        return str(damage)
    return None

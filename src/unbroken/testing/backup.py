"""A copy of an app's storage, as an operating system takes it: credentials and waiting payloads, not the lock."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was taken; it can be put back any number of times, on any device."""

    path: Path = field(repr=False)

    def put_back(self, storage: Path) -> None:
        """Fill a storage that does not exist yet."""
        shutil.copytree(self.path, storage)


def take(storage: Path, target: Path) -> Backup:
    """Copy a storage, open or not: the database by its own backup, as a copy of an open file may be torn."""
    shutil.copytree(storage, target, ignore=shutil.ignore_patterns("lock", "outbox.sqlite*"))
    with (
        closing(sqlite3.connect(storage / "outbox.sqlite")) as original,
        closing(sqlite3.connect(target / "outbox.sqlite")) as copy,
    ):
        original.backup(copy)
    return Backup(target)

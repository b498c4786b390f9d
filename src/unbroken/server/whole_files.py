"""Small files that are there whole or not at all, also after a loss of power."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def create_once(path: Path, content: bytes) -> None:
    """Write a new file whole and durable, mode 0600; where another process was faster, its file stands."""
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def put(path: Path, content: bytes) -> None:
    """Write a file whole and durable, mode 0600, in the place of the one that is there."""
    _draft(path, content).replace(path)
    _sync_directory(path.parent)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _refuse_other_than(content, draft)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _refuse_other_than(content: bytes, draft: Path) -> None:
    if draft.read_bytes() != content:
        raise OSError(errno.EIO, "It does not hold what was written to it", str(draft))


def _sync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)

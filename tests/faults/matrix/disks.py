"""A small disk that can be filled to the last byte and emptied again: a file system in memory, of its own size."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_BALLAST: Final = "ballast"
_PIECE: Final = bytes(1 << 20)


class NoDisk(RuntimeError):
    """A disk cannot be made on this machine; the message says what is missing."""


class SmallDisk:
    """A context manager that mounts it, and takes it away with everything on it.

    Args:
        place: where it is mounted; made if missing.
        mebibytes: how much fits on it.
    """

    def __init__(self, place: Path, mebibytes: int) -> None:
        self.place = place
        self._mebibytes = mebibytes

    @property
    def free_bytes(self) -> int:
        """How much more fits on it."""
        return shutil.disk_usage(self.place).free

    def fill(self) -> None:
        """Leave no byte."""
        with (self.place / _BALLAST).open("ab", buffering=0) as ballast:
            for piece in (_PIECE, b"\0"):
                try:
                    while ballast.write(piece):
                        pass
                except OSError as error:
                    if error.errno != 28:  # ENOSPC
                        raise

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.place / _BALLAST).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise NoDisk("A disk of its own size needs root: run these tests as root, in a container perhaps.")
        self.place.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._mebibytes}m,mode=755", "unbroken-test", str(self.place))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "--lazy", str(self.place))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDisk(f"{' '.join(words)}: {done.stderr.strip()}")

"""The locks in deploy/locked: every package of a container, its version, and the hashes its files may have.

`make locked` writes them anew. One is called by the extras that it installs, `build` by what builds the wheel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCKED: Final = "deploy/locked"
BUILD: Final = "build"
_PACKAGE: Final = re.compile(
    r"([a-z0-9-]+)==([^ ;]+)(?: ; [^\\]+)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Package(NamedTuple):
    """One package of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]


def of_platforms(root: Path) -> list[Path]:
    """The locks of containers."""
    return sorted(path for path in (root / LOCKED).glob("*.txt") if path.stem != BUILD)


def read(path: Path) -> list[Package]:
    """What a lock pins.

    Raises:
        ValueError: something in it is no package with a version and hashes.
    """
    return list(_packages(path.read_text(encoding="utf-8")))


def _packages(text: str) -> Iterator[Package]:
    position = 0
    while position < len(text):
        match = _PACKAGE.match(text, position)
        if match is None:
            raise ValueError(f"Not a package with its hashes: {text[position : position + 80]!r}")
        yield Package(match[1], match[2], tuple(_HASH.findall(match[3])))
        position = match.end()

"""Look for byte strings in every file below a directory: `python -m unbroken.store.scan DIRECTORY`.

It is a process of its own, because one that closes a file of the database drops the locks which it holds on it.
Standard input: one byte string a line, in hex. Standard output: how often any of them stands in each file, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK_BYTES: Final = 8 << 20


def scan(directory: Path, needles: Sequence[bytes]) -> dict[str, int]:
    """How often any of `needles` stands in each file, by its path within the directory; files without are left out."""
    found = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        if hits := count_in(path, needles):
            found[str(path.relative_to(directory))] = hits
    return found


def count_in(path: Path, needles: Sequence[bytes]) -> int:
    """How often any of `needles` stands in a file, which may be larger than memory."""
    longest = max(map(len, needles), default=1)
    hits, before = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            window = before + block
            hits += sum(window.count(needle) - before.count(needle) for needle in needles)
            before = window[-longest + 1 :] if longest > 1 else b""
    return hits


if __name__ == "__main__":
    json.dump(scan(Path(sys.argv[1]), [bytes.fromhex(line) for line in sys.stdin.read().split()]), sys.stdout)

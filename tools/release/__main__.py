"""`python -m tools.release DIRECTORY`: build what is published. Exit code 1 where the wheel is not reproducible."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

from tools.release import bill, locks, wheel

SUMS: Final = "SHA256SUMS"


def release(root: Path, directory: Path) -> list[Path]:
    """Write the wheel, a bill of materials for each lock, and the checksums of them all.

    Raises:
        NotReproducible: two builds differ, so that nobody could check this one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    built = wheel.built_twice(root, directory)
    written = [built]
    for lock in locks.of_platforms(root):
        path = directory / f"unbroken-{lock.stem}.cdx.json"
        path.write_text(bill.of_lock(locks.read(lock), version=built.name.split("-")[1]), encoding="utf-8")
        written.append(path)
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in written)
    (directory / SUMS).write_text(sums, encoding="utf-8")
    return [*written, directory / SUMS]


if __name__ == "__main__":
    try:
        for made in release(Path(__file__).parents[2], Path(sys.argv[1])):
            print(made)
    except wheel.NotReproducible as difference:
        sys.exit(str(difference))

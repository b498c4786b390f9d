"""Build what is published, or check what was: `python -m tools.release DIRECTORY [--key KEY | --check SIGNERS]`.

Exit code 1 where the wheel is not reproducible, or the release not genuine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.release import bill, locks, signature, wheel


def release(root: Path, directory: Path, key: Path | None = None) -> list[Path]:
    """Write the wheel, a bill of materials for each lock, and the checksums of them all; with a key, signed.

    Raises:
        NotReproducible: two builds differ, so that nobody could check this one.
        CalledProcessError: the key does not sign.
    """
    directory.mkdir(parents=True, exist_ok=True)
    built = wheel.built_twice(root, directory)
    written = [built]
    for lock in locks.of_platforms(root):
        path = directory / f"unbroken-{lock.stem}.cdx.json"
        path.write_text(bill.of_lock(locks.read(lock), version=built.name.split("-")[1]), encoding="utf-8")
        written.append(path)
    written.append(signature.write_sums(directory, written))
    return written if key is None else [*written, signature.sign(directory, key)]


def main() -> None:
    """What the command does."""
    parser = argparse.ArgumentParser(prog="python -m tools.release")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--key", type=Path, help="sign with this key of OpenSSH")
    parser.add_argument("--check", type=Path, metavar="SIGNERS", help="build nothing: check what lies there")
    told = parser.parse_args()
    try:
        if told.check is not None:
            print(*signature.verify(told.directory, told.check), sep="\n")
        else:
            print(*release(Path(__file__).parents[2], told.directory, told.key), sep="\n")
    except (wheel.NotReproducible, signature.NotGenuine) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

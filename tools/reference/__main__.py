"""`python -m tools.reference`; see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from tools.reference import PAGES

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "reference"


def main() -> int:
    """Write the pages, or with `--check` compare them."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description="Write docs/reference.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is out of date")
    check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if not _is_current(DIRECTORY / name, page())]
    if check:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run `make reference`.", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DIRECTORY / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())

"""The wheel: built twice, in two places, so that a release can be checked by whoever builds it a third time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

SOURCES: Final = ("pyproject.toml", "README.md", "LICENSE", "src")
"""All that the wheel is made of, as in deploy/Dockerfile."""


class NotReproducible(Exception):
    """Two builds of the same sources differ."""


def built_twice(root: Path, directory: Path) -> Path:
    """The wheel of the sources at `root`, in `directory`.

    Raises:
        NotReproducible: a second build of a copy, elsewhere and of another day, has other bytes.
    """
    with tempfile.TemporaryDirectory(prefix="unbroken-release-") as elsewhere:
        again = build(copied(root, Path(elsewhere) / "sources"), Path(elsewhere) / "wheels")
        built = build(root, directory)
        if built.name != again.name or built.read_bytes() != again.read_bytes():
            raise NotReproducible(f"{built.name} has other bytes when it is built again: it cannot be checked.")
    return built


def build(root: Path, directory: Path) -> Path:
    """The wheel of the sources at `root`, in `directory`, by the build backend itself, which asks no network."""
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory.resolve())]
    subprocess.run(words, cwd=root, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - words of ours
    (built,) = directory.glob("unbroken-*.whl")
    return built


def copied(root: Path, place: Path) -> Path:
    """The sources in another place, with times of their own."""
    place.mkdir(parents=True)
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(
                root / name, place / name, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copyfile(root / name, place / name)
    return place

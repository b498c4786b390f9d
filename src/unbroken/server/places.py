"""Where a platform is kept, as an operator names it: a data directory, or the URL of a database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from unbroken.server.data_directory import DATABASE_FILE
from unbroken.server.trouble import CannotStart

_POSTGRES: Final = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """One of both.

    Args:
        directory: the data directory with an embedded database.
        url: of a PostgreSQL database; it may hold a password.
    """

    directory: Path | None = None
    url: str = ""

    @property
    def database(self) -> Path:
        """The file of an embedded database."""
        assert self.directory is not None, "PostgreSQL has no file"
        return self.directory / DATABASE_FILE

    def is_same(self, other: Place) -> bool:
        """Whether both are one, as far as names tell."""
        if self.directory is None or other.directory is None:
            return self.url == other.url and self.directory is other.directory
        return self.directory.resolve() == other.directory.resolve()


def parse(text: str) -> Place:
    """A data directory, `sqlite:///DIRECTORY` (also with the file's name behind it), or `postgresql://...`.

    Raises:
        CannotStart: it is none of them.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Place(_directory(Path(text)))
    if scheme in _POSTGRES:
        return Place(url=text)
    if scheme == "sqlite" and not urlsplit(text).netloc:
        return Place(_directory(Path(unquote(urlsplit(text).path))))
    raise CannotStart(
        f"A platform is named by its data directory, by sqlite:///DIRECTORY or by postgresql://..., not by {scheme}://."
    )


def _directory(path: Path) -> Path:
    return path.parent if path.name == DATABASE_FILE and not path.is_dir() else path

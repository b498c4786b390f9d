"""The other scene: one platform on SQLite, which is a whole platform too, on a small disk of its own."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.faults.matrix.disks import SmallDisk
from tests.faults.matrix.operator import Operator

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from types import TracebackType

    from unbroken.testing.member import Member

_DISK_MIB: Final = 512
"""Its write-ahead log grows to 64 MiB before it is emptied."""


class Embedded:
    """As `Scene`, of one process called `platform`."""

    def __init__(self) -> None:
        self.disks: dict[str, SmallDisk] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            directory = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="unbroken-faults-")))
            self.disks["platform"] = ends.enter_context(SmallDisk(directory / "disk", _DISK_MIB))
            self._platform = PlatformProcess(directory / "disk" / "data", lab=False, settings={"keep_alive_s": "3600"})
            ends.enter_context(self._platform)
            self.operator = Operator(self._platform.data, {})
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.calm()
        self._ends.close()

    @property
    def base_urls(self) -> list[str]:
        """Of the platform."""
        return [self._platform.base_url]

    @property
    def members(self) -> dict[str, Member]:
        """By name."""
        return {"platform": self._platform}

    def member(self, name: str) -> Member:
        """By its name."""
        return self.members[name]

    def calm(self) -> None:
        """See `Scene.calm`."""
        self.disks["platform"].free()

    def revive(self) -> None:
        """See `Scene.revive`."""
        if not self._platform.is_running:
            self._platform.kill()
            self._platform.start()

    def await_whole(self) -> None:
        """See `Scene.await_whole`."""
        self.revive()

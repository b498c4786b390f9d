"""The board: what the processes of a run have learned, in a file that all of them read and append to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Board:
    """What all processes of a run have learned so far."""

    path: Path
    installs: dict[int, dict[str, str]] = field(default_factory=dict)  # of each device, the latest
    links: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    _read: int = 0

    def look(self) -> None:
        """Take in what was written since."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        lines = lines[: lines.rfind(b"\n") + 1]
        self._read += len(lines)
        for line in lines.splitlines():
            self._take(json.loads(line))

    def _take(self, learned: dict[str, Any]) -> None:
        if "device" in learned:
            self.installs[learned["device"]] = learned
        self.links += [link for link in learned.get("links", []) if link not in self.links]
        self.users += [user for user in learned.get("users", []) if user not in self.users]

    def write(self, learned: dict[str, Any]) -> None:
        """Append a line; lines as short as these are not torn when several processes append at once."""
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(learned).encode() + b"\n")

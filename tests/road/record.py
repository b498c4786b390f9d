"""What became of the calls on a bad road: written by every server as it goes, read by the run that started them."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLS, COMPLAINTS = "calls", "complaints"


class Written:
    """The record of one process.

    A line is one write to the end of a file, so that a server that is killed has told what it did, and servers share
    the file of complaints.
    """

    def __init__(self, directory: Path) -> None:
        name = f"{CALLS}-{os.getpid()}-{SystemRandomness().secret(4).hex()}"
        self._calls = _open(directory / name)
        self._complaints = _open(directory / COMPLAINTS)

    def call(self, call: str, sent: int, lost: int) -> None:
        _write(self._calls, [call, sent, lost])

    def complain(self, call: str, what: str) -> None:
        _write(self._complaints, [call, what])


@dataclass
class Totals:
    """What all servers of a run tell together.

    Args:
        servers: how many stood behind the road.
        calls: by method, how often a caller asked.
        sent: how many requests that came to.
        lost: how many replies were lost.
    """

    servers: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    lost: int = 0

    def __str__(self) -> str:
        posts = f"{self.calls.total()} calls ({self.calls['POST']} of them POSTs)"
        return f"{self.servers} servers, {posts}, {self.sent} requests, {self.lost} replies lost"


def totals(directory: Path) -> Totals:
    """Of all records below a directory."""
    found = Totals()
    for file in directory.rglob(f"{CALLS}-*"):
        found.servers += 1
        for call, sent, lost in _lines(file):
            found.calls[call.partition(" ")[0]] += 1
            found.sent += sent
            found.lost += lost
    return found


class Complaints:
    """Those of servers that this process started, each to be heard once."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / COMPLAINTS
        self._heard = 0

    def new(self) -> list[str]:
        """Those since it was asked before."""
        every = [f"{call}: {what}" for call, what in _lines(self._file)] if self._file.exists() else []
        heard, self._heard = self._heard, len(every)
        return every[heard:]


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _write(file: int, line: list[Any]) -> None:
    os.write(file, json.dumps(line).encode() + b"\n")


def _lines(file: Path) -> Iterator[list[Any]]:
    with file.open() as lines:
        yield from map(json.loads, lines)

"""The do-it-yourself baseline in a process of its own, with the little that the workloads ask of an application."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench import calls, load, machine
from unbroken.testing.member import ProcessFailed, stop_process
from unbroken.testing.process import await_ready, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PHONES: Final = 500
"""Installs that upload. Fewer than the platform has, as each is registered by a call; it is not to the disadvantage of
a database that has no index too few."""

_READY_TIMEOUT_S: Final = 60.0


class Baseline:
    """The server that runs, its app, and installs that were registered there."""

    def __init__(self, port: int, pid: int, told: dict[str, str]) -> None:
        self.port = port
        self.pid = pid
        self.app_id = told["app_id"]
        self.app_secret = told["app_secret"]
        self.api_key = told["api_key"]
        self._installs: list[dict[str, Any]] = []

    def register(self, now_ms: int) -> None:
        """Make the installs that upload and are read."""
        requests = calls.registrations(self.app_id, self.app_secret, PHONES, now_ms)
        self._installs = [json.loads(reply) for reply in self.send(list(requests), 201)]

    def send(self, requests: Sequence[bytes], status: int) -> list[bytes]:
        """Send all of them; what was answered."""
        return load.run(self.port, requests, status, seconds=600.0, keep=True, clients=16).replies

    def tokens(self) -> list[str]:
        """User tokens of installs, in order."""
        return [install["user_token"]["token"] for install in self._installs]

    def user_ids(self) -> list[str]:
        """The users of the same installs."""
        return [install["user_id"] for install in self._installs]


@contextmanager
def diy(url: str, core: int) -> Iterator[Baseline]:
    """It serves meanwhile.

    Args:
        url: of a PostgreSQL database, empty.
    """
    port = free_port()
    words = [sys.executable, "-m", "bench.baselines.diy", str(port), url]
    with machine.pinned(core):
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if not await_ready(process, port, _READY_TIMEOUT_S):
            raise ProcessFailed("The do-it-yourself baseline did not start.")
        yield Baseline(port, process.pid, json.loads(process.stdout.readline()))
    finally:
        stop_process(process)
        if process.stdout is not None:
            process.stdout.close()

"""Runs: eight processes call one deployment at once while faults happen, and what they were told is one history."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.model.linearizability.caller import Caller, Task
from tests.model.linearizability.faults import Fault, inflict, planned
from tests.model.linearizability.operations import Operation, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.model.linearizability.deployment import Deployment

PROCESSES: Final = 8
CALLS: Final = 16
_ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to."""

    history: list[Operation]
    faults: list[Fault]


class Callers:
    """The processes, started once for many runs."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def run(self, deployment: Deployment, directory: Path, seed: int) -> Run:
        """Make the calls and the faults that the seed plans, about installs and accounts of their own."""
        app, board = deployment.app, directory / f"board-{seed}"
        board.touch()
        urls, secrets = deployment.base_urls, [app.app_id, app.app_secret, app.api_key]
        begun = Caller(Task(urls, secrets, str(board), seed, PROCESSES, 0)).register_all()
        tasks = [Task(urls, secrets, str(board), seed, process, CALLS) for process in range(PROCESSES)]
        over = threading.Event()
        with ThreadPoolExecutor(PROCESSES + 1) as pool:
            made = [pool.submit(_one, process, task) for process, task in zip(self._processes, tasks, strict=True)]
            pool.submit(lambda: (wait(made), over.set()))
            faults = planned(seed, len(deployment.victims), CALLS * PROCESSES)
            done = [fault for fault in faults if inflict(deployment, fault, board, over)]
            history = [operation for one in made for operation in one.result()]
        return Run(begun + history, done)


def _one(process: subprocess.Popen[str], task: Task) -> list[Operation]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asdict(task)) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, f"caller {task.process} ended with {process.wait()}"
    return [parsed(fields) for fields in json.loads(line)]


@contextmanager
def callers() -> Iterator[Callers]:
    """Eight processes of the operating system, until they are no longer needed."""
    words = [sys.executable, "-m", "tests.model.linearizability.caller"]
    started = [
        subprocess.Popen(words, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        yield Callers(started)
    finally:
        for process in started:
            process.kill()
            process.communicate()

"""Faults: what is done to the servers while they are called, planned by a seed.

Broken connections are not here but in the caller: at times it hangs up in the middle of the work.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from random import Random  # noqa: TID251 - seeded, so that the same faults can be planned again
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.linearizability.deployment import Deployment

WAIT_S: Final = 60.0
_POLL_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done.

    Args:
        after: how many calls have been made by then.
        kind: kill (SIGKILL, and started again) or pause (SIGSTOP, and SIGCONT).
        victim: which of the deployment's victims.
        for_s: how long it is paused.
    """

    after: int
    kind: str
    victim: int
    for_s: float


def planned(seed: int, victims: int, calls: int) -> list[Fault]:
    """One to three faults, spread over the run's calls."""
    random = Random(seed)
    at = sorted(random.randrange(calls // 10, calls * 9 // 10) for _ in range(random.randrange(1, 4)))
    kinds = random.choices(["kill", "pause"], [2, 1], k=len(at))
    return [
        Fault(after, kind, random.randrange(victims), random.uniform(0.05, 0.6))
        for after, kind in zip(at, kinds, strict=True)
    ]


def inflict(deployment: Deployment, fault: Fault, board: Path, over: threading.Event) -> bool:
    """Do it once so many calls are made; whether it was done before the run was over."""
    deadline = time.monotonic() + WAIT_S
    while board.read_bytes().count(b"\n") < fault.after:
        if over.wait(_POLL_S):
            return False
        assert time.monotonic() < deadline, f"fewer than {fault.after} calls were made in {WAIT_S:.0f} s"
    victim = deployment.victims[fault.victim]
    if fault.kind == "kill":
        victim.kill_and_start()
        return True
    with victim.paused():
        threading.Event().wait(fault.for_s)
    return True

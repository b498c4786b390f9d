"""Which flows may still take a step. A reset or `close` ends an era, and with it every flow that began in it.

So a linker or a request that comes back late, to a device that is somebody else by now or to a storage that was given
back, finds nothing it could write to.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.steps import Done, Flow, Step, Told, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken.sdk.memory import Memory

T = TypeVar("T")
Turn = TypeVar("Turn")


class Era(Generic[Turn]):
    """The time between two resets. `turn` is the lock that a flow holds from its first step to its last."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.over: tuple[FaultKind, str] | None = None


class Eras(Generic[Turn]):
    """The present era, and the end of the earlier ones.

    Args:
        memory: written to disk after each step of a flow, before what the step asks for is done.
        new_turn: makes a lock of the shell's kind.
    """

    def __init__(self, memory: Memory, new_turn: Callable[[], Turn]) -> None:
        self._memory = memory
        self._new_turn = new_turn
        self._stepping = threading.Lock()
        self._present = Era(new_turn())

    @property
    def present(self) -> Era[Turn]:
        """The era in which a flow that begins now lives."""
        return self._present

    def step(self, era: Era[Turn], flow: Flow[T], told: Told) -> Step | Done[T]:
        """The next step of a flow.

        Raises:
            Fault: the flow's own, or that its era is over; the flow has taken no step then.
        """
        with self._stepping:
            if era.over is not None:
                flow.close()
                raise Fault(*era.over)
            try:
                return advance(flow, told)
            finally:
                self._memory.keep()

    @contextmanager
    def next(self) -> Iterator[None]:
        """End the era for a reset, and begin the next. Inside no flow takes a step."""
        with self._stepping:
            self._present.over = (FaultKind.DELETED, "there is no user on this device: the SDK was reset meanwhile")
            self._present = Era(self._new_turn())
            yield

    def close(self) -> None:
        """End the last era."""
        with self._stepping:
            self._present.over = (FaultKind.CLOSED, "the SDK was closed")

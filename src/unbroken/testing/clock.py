"""The lab's virtual clock: it stands still until it is moved, and on its way keeps every appointment in time order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken.clock import Clock

Act = Callable[[], object]


@dataclass(order=True, slots=True)
class Appointment:
    """Something that is to happen at `at_ms`; of two at the same instant, the one made first comes first."""

    at_ms: int
    place: int
    act: Act = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Let it not happen; harmless when it already has."""
        self.is_cancelled = True


class LabClock:
    """One time for everybody in a lab: devices, networks, the platform (through `Lab-Time`)."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._made = 0
        self._appointments: list[Appointment] = []
        self._is_moving = False

    def now_ms(self) -> int:
        """The present instant of the lab, epoch milliseconds."""
        return self._now_ms

    def at(self, at_ms: int, act: Act) -> Appointment:
        """Have `act` called when the clock comes to `at_ms`; what lies in the past happens with the next move."""
        self._made += 1
        appointment = Appointment(at_ms, self._made, act)
        heapq.heappush(self._appointments, appointment)
        return appointment

    def advance_to(self, at_ms: int) -> None:
        """Let time pass until `at_ms`, keeping the appointments on the way; an earlier instant is ignored.

        Raises:
            RuntimeError: called by an appointment: time passes in one place only.
        """
        if self._is_moving:
            raise RuntimeError("The lab's clock is moving already; an appointment cannot move it too.")
        self._is_moving = True
        try:
            while self._appointments and self._appointments[0].at_ms <= at_ms:
                self._keep(heapq.heappop(self._appointments))
            self._now_ms = max(self._now_ms, at_ms)
        finally:
            self._is_moving = False

    def _keep(self, appointment: Appointment) -> None:
        self._now_ms = max(self._now_ms, appointment.at_ms)
        if not appointment.is_cancelled:
            appointment.act()


class DeviceClock:
    """A device's own clock: the lab's, wrong by `error_ms` (ahead where positive)."""

    def __init__(self, clock: Clock, error_ms: int = 0) -> None:
        self._clock = clock
        self.error_ms = error_ms

    def now_ms(self) -> int:
        """What the device believes the time is, epoch milliseconds."""
        return self._clock.now_ms() + self.error_ms

"""Probes ask the service all the time, so that it is known how soon it answered again after each kill."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from unbroken.backend import BackendError
from unbroken.demo.cluster.phones import Phone
from unbroken.sdk import SdkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.backend import Platform
    from unbroken.demo.cluster.phones import World

SPREAD: Final = 8
"""How many phones of as many people tell whether uploads are processed: each install is in one partition of the log."""

_PAUSE_S: Final = 0.1
_PROCESSED_MAX_S: Final = 60.0


class Probe(threading.Thread):
    """One question, asked again and again, one after the other.

    Args:
        name: what is asked for, as the report has it.
        ask: whether the service did its part; what the SDK or the backend kit raises is a no.
        over: ends it.
    """

    def __init__(self, name: str, ask: Callable[[], bool], over: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._ask, self._over = ask, over
        self._answered: list[tuple[float, float]] = []

    def run(self) -> None:
        """See `threading.Thread.run`."""
        while not self._over.is_set():
            asked_at = time.monotonic()
            if self._is_answered():
                self._answered.append((asked_at, time.monotonic()))
            self._over.wait(_PAUSE_S)

    def back_after(self, instant: float) -> float | None:
        """Seconds from an instant (`time.monotonic`) to the first answer to a question asked since; None: none yet."""
        return next((heard - instant for asked, heard in list(self._answered) if asked >= instant), None)

    def _is_answered(self) -> bool:
        try:
            return self._ask()
        except (SdkError, BackendError):
            return False


class Probes:
    """Uploads, links, and whether uploads are processed; a context manager that asks while it is open.

    Args:
        customer: a customer's server that does not try again by itself.
    """

    def __init__(self, world: World, customer: Platform) -> None:
        self._over = over = threading.Event()
        self._phones = [Phone(world, name, name) for name in (f"probe-{number}" for number in range(SPREAD + 1))]
        sender, *watched = self._phones
        self.all = [
            Probe("uploads", lambda: sender.capture(1) is not None and sender.upload(), over),
            Probe("links", lambda: bool(customer.link(sender.install_id, external_id=sender.account)), over),
            Probe("processing", lambda: _are_processed(watched, customer, over), over),
        ]

    def is_back(self, instant: float) -> bool:
        """Whether each was answered to a question asked after an instant, of `time.monotonic`."""
        return all(probe.back_after(instant) is not None for probe in self.all)

    def __enter__(self) -> Self:
        for phone in self._phones:
            phone.open()
        for probe in self.all:
            probe.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End, with everything acknowledged that was captured, unless the demo was broken off."""
        self._over.set()
        for probe in self.all:
            probe.join()
        for phone in self._phones:
            if kind is None:
                phone.upload_all()
            phone.delete()


def _are_processed(phones: Sequence[Phone], customer: Platform, over: threading.Event) -> bool:
    """Upload an item from each phone and wait until all of them are accounted for."""
    waiting = {phone: phone.capture(1) for phone in phones}
    for phone in phones:
        if not phone.upload():
            return False
    until = time.monotonic() + _PROCESSED_MAX_S
    while waiting and time.monotonic() < until and not over.wait(_PAUSE_S):
        waiting = {phone: t for phone, t in waiting.items() if not _is_there(phone, t, customer)}
    return not waiting


def _is_there(phone: Phone, t: int | None, customer: Platform) -> bool:
    assert t is not None, "the only install of its user is active"
    return any(True for _ in customer.users.items(phone.user_id, t, t + 1))

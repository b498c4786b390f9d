"""Who hears of the status, and where a fault of the app's own code is told where nobody waits for it: the log.

A listener that raises keeps nobody else from hearing, and nothing of the SDK from going on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from unbroken.sdk.status import SdkStatus

Listener = Callable[[SdkStatus], object]


def report(what: str, error: Exception) -> None:
    """Tell the log `unbroken.sdk` of an exception that has no caller to go to."""
    import logging  # noqa: PLC0415 - costs every start of an app some milliseconds, and is needed where something broke

    logging.getLogger("unbroken.sdk").error("%s", what, exc_info=error)


class Listeners:
    """Told of each status that differs from the one before. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._last: SdkStatus | None = None

    def add(self, listener: Listener) -> None:
        """Tell `listener` too."""
        self._listeners.append(listener)

    def tell(self, status: SdkStatus) -> None:
        """Tell everybody, if anything they can see has changed."""
        with self._lock:
            has_changed = status != self._last
            self._last = status
        for listener in tuple(self._listeners) if has_changed else ():
            try:
                listener(status)
            except Exception as error:  # noqa: BLE001 - whatever the app's code throws is its own affair
                report("a status listener raised", error)

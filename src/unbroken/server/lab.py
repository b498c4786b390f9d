"""Lab mode: a platform whose clock is a header's, so that years run in seconds (http-api.md, lab mode)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain.errors import InvalidRequest
from unbroken.server.route import Answer, Credential, Route

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.flow.context import Context
    from unbroken.flow.process import Worker
    from unbroken.server.route import Call

CLOCK_FILE: Final = "lab-clock"
_DIGITS: Final = 16


class LabClock:
    """The greatest `Lab-Time` seen so far. It starts at 0 and stands still without the header.

    Args:
        path: the file that keeps it, so that a restarted lab goes on where it was.
        writable: False for the command line, which looks at the clock of a running lab: each look reads the file anew.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY | os.O_CREAT
        self._file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._writable = writable
        self._now_ms = self._read()

    def now_ms(self) -> int:
        """Epoch milliseconds of the lab."""
        return self._now_ms if self._writable else self._read()

    def advance_to(self, now_ms: int) -> None:
        """Move forward; a smaller value is ignored, as time never runs back."""
        if now_ms > self._now_ms:
            self._now_ms = now_ms
            os.pwrite(self._file, b"%0*d" % (_DIGITS, now_ms), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _read(self) -> int:
        text = os.pread(self._file, _DIGITS, 0)
        return int(text) if text.isdigit() else 0


def read_lab_time(header: bytes) -> int:
    """Epoch milliseconds of a `Lab-Time` header.

    Raises:
        InvalidRequest: not a whole number up to the year 9999.
    """
    if not header.isdigit() or len(header) > _DIGITS or int(header) > wire.LATEST_MS:
        raise InvalidRequest(
            "Lab-Time must be epoch milliseconds.", details=(("Lab-Time", "must be a whole number of milliseconds"),)
        )
    return int(header)


def routes(worker: Worker) -> list[Route]:
    """The calls that only a lab knows."""

    async def settle(_: Context, __: Call) -> Answer:
        await worker.settle()
        return Answer(None)

    return [
        Route(
            method="POST",
            path="/lab/settle",
            handler=settle,
            credential=Credential.NONE,
            scope=None,
            summary="Answer when everything acknowledged has been processed.",
            reply=None,
            status=204,
            lab=True,
        )
    ]

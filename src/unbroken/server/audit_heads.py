"""Audit heads: a running server says now and then where the audit log ends, where others can keep it.

To a file of signed lines, to the log, and in a metric. Whoever ships the log or copies the file elsewhere holds what a
cut end is noticed by. The server itself looks whether the log still holds what it said last, before it was started too.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from unbroken import wire
from unbroken.domain.errors import InvalidRequest
from unbroken.flow import audit_log

if TYPE_CHECKING:
    from unbroken.flow.audit_log import Published
    from unbroken.flow.context import Context
    from unbroken.server.metrics import Metrics
    from unbroken.server.settings import Settings

HEADS_FILE: Final = "audit-heads.jsonl"

log = structlog.get_logger()


class AuditHeads:
    """See the module."""

    def __init__(self, context: Context, metrics: Metrics, settings: Settings) -> None:
        self._context = context
        self._file = Path(settings.audit_file) if settings.audit_file else settings.data / HEADS_FILE
        self._last: Published | None = None
        self._cuts = 0
        metrics.gauge("unbroken_audit_entries", "Entries of the audit log that were published.", self._many)
        cuts = "Times that the audit log lacked what was published."
        metrics.counter("unbroken_audit_cuts", cuts, lambda: self._cuts)

    def _many(self) -> int:
        return 0 if self._last is None else self._last.entries

    async def publish(self) -> None:
        """Say where the log ends, unless it ends where it did.

        Raises:
            OSError: the file cannot be read, or not written.
            StoreUnavailable.
        """
        if self._last is None:
            self._last = await asyncio.to_thread(self._said_before)
        if self._last is not None and not await audit_log.still_holds(self._context, self._last):
            self._cuts += 1
            log.error("audit log cut", code="AUDIT_CUT", entries=self._last.entries, hash=self._last.hash)
        found = await audit_log.head(self._context)
        if self._last is not None and found.hash == self._last.hash:
            return
        await asyncio.to_thread(_append, self._file, wire.encode(found) + b"\n")
        self._last = found
        log.info("audit head", entries=found.entries, hash=found.hash)

    def _said_before(self) -> Published | None:
        """The last line of the file that is this platform's, if there is one."""
        lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        for line in filter(bytes.strip, reversed(lines)):
            with suppress(InvalidRequest):  # half a line, of a disk that was full, or somebody else's
                return audit_log.read_heads(self._context, line)[0]
        return None


def _append(path: Path, line: bytes) -> None:
    """Add a line, in the place of half a line that a full disk has left."""
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())

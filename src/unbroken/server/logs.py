"""The log: JSON, one object a line, to standard error.

Lines of requests hold nothing that a caller wrote, so they are put together by hand; many share one write.
Everything else goes through structlog and a redactor (`redactor.py`). Nothing a caller sends can end a line, steer a
terminal or show a credential.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import msgspec
import structlog

from unbroken import wire
from unbroken.clock import SystemClock
from unbroken.server.redactor import printable, redacted

if TYPE_CHECKING:
    import asyncio
    from collections.abc import MutableMapping

    from structlog.typing import Processor

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FORGET_RECORD: Final = structlog.stdlib.ProcessorFormatter.remove_processors_meta
_FLUSH_AFTER_LINES: Final = 100
_FLUSH_AFTER_S: Final = 0.1


def configure(level: str, *, lab: bool, stream: TextIO | None = None) -> None:
    """Send every logger of this process through here, uvicorn's and the standard library's too."""
    target = _Enduring(sys.stderr if stream is None else stream)

    def render(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
        line = {"at": wire.iso(SystemClock().now_ms()), **({"lab": True} if lab else {}), **redacted(dict(event))}
        return printable(msgspec.json.encode(line, enc_hook=repr).decode())

    shared: list[Processor] = [structlog.processors.add_log_level, structlog.processors.format_exc_info]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", target)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_FORGET_RECORD, *shared, render]))
    logging.basicConfig(handlers=[handler], level=max(LEVELS[level], logging.WARNING), force=True)


class _Enduring:
    """A stream that may be on a full disk, or without a reader: what cannot be written is lost, and nothing else is.

    An error that is told must not become one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class RequestLog:
    """One line a request. Lines wait at most 0.1 s, so that under load many share a write.

    Args:
        enabled: False where the level is above "info".
    """

    def __init__(self, stream: TextIO | None = None, *, enabled: bool = True, lab: bool = False) -> None:
        self.enabled = enabled
        self._stream = sys.stderr if stream is None else stream
        self._prefix = '{"lab":true,"at":"' if lab else '{"at":"'
        self._clock = SystemClock()
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._second = -1
        self._written_second = ""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flush by the loop's timer from now on."""
        self._loop = loop

    def line(self, request_id: str, route: str, status: int, duration_s: float, code: str = "") -> None:
        """Write that a request was answered. `route` is a template of the table, `code` that of the refusal, if any.

        Nothing of it is what the caller wrote.
        """
        if not self.enabled:
            return
        told = f'"code":"{code}",' if code else ""
        self._lines.append(
            f'{self._prefix}{self._now()}","level":"info","event":"request","request_id":"{request_id}",'
            f'"route":"{route}","status":{status},{told}"ms":{duration_s * 1000:.2f}}}\n'
        )
        if len(self._lines) == 1 and self._loop is not None:
            self._loop.call_later(_FLUSH_AFTER_S, self.flush)
        elif self._loop is None or len(self._lines) >= _FLUSH_AFTER_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what waits. A reader that went away must not stop the platform, nor must a disk that is full."""
        text, self._lines = "".join(self._lines), []
        if text:
            try:
                self._stream.write(text)
                self._stream.flush()
            except BrokenPipeError:
                self.enabled = False  # nobody will read it any more
            except OSError:
                pass  # lost; there may be room for the next ones

    def _now(self) -> str:
        """ISO 8601 with milliseconds; the part down to the second is put together once a second."""
        now_ms = self._clock.now_ms()
        second, ms = divmod(now_ms, 1000)
        if second != self._second:
            self._second, self._written_second = second, wire.iso(second * 1000)[:19]
        return f"{self._written_second}.{ms:03d}+00:00"

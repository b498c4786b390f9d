"""Reads, each on one snapshot: short ones on the event loop, long ones in threads."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from unbroken.store.contract import Call, CallRefused, StoreUnavailable
from unbroken.store.long_reads import CLOSED
from unbroken.store.postgres.reader import Reader
from unbroken.store.postgres.trouble import READ_ONLY, is_lost, sqlstate
from unbroken.store.postgres.writer import close, is_idle_again

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.store.postgres.transaction import Outcome

T = TypeVar("T")


class Readers:
    """Connections for short reads: at most `room` at a time, the others wait for one. Belongs to the event loop.

    Args:
        connect: opens a connection; raises StoreUnavailable.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], room: int) -> None:
        self._connect = connect
        self._room = asyncio.Semaphore(room)
        self._idle: list[Reader] = []
        self._is_closed = False

    async def run(self, call: Call[T], app_id: bytes) -> T:
        """Run `call` on one snapshot, which shows the rows of an app, or of `EVERY_APP`."""
        async with self._room:
            while True:
                if self._is_closed:
                    raise StoreUnavailable(CLOSED)
                is_new = not self._idle
                reader = Reader(await self._connect()) if is_new else self._take(app_id)
                outcome, error = await self._on(reader, call, app_id)
                if error is None or is_new or not is_lost(error):
                    return _answer(outcome, error)
                self._drop_idle()  # found out only now, as the others would be one by one; a read can be repeated

    def _drop_idle(self) -> None:
        """Those that were idle when the server went have lost it, too."""
        while self._idle:
            self._idle.pop().connection.terminate()

    def _take(self, app_id: bytes) -> Reader:
        """One that shows that app already, or else the one that was idle for longest."""
        fitting = [place for place, reader in enumerate(self._idle) if reader.shows == app_id]
        return self._idle.pop(fitting[-1] if fitting else 0)

    async def _on(self, reader: Reader, call: Call[T], app_id: bytes) -> tuple[Outcome[T], Exception | None]:
        connection = reader.connection
        try:
            outcome, error = await reader.read(call, app_id)
        except BaseException:
            connection.terminate()  # the reader was cancelled, and an answer may be on its way
            raise
        if error is not None and is_lost(error):
            connection.terminate()  # what it was told last may yet take effect
        if await is_idle_again(connection):
            if self._is_closed:
                await close(connection)
            else:
                self._idle.append(reader)
        return outcome, error

    async def close(self) -> None:
        """Let go of every connection; those in use when their read is done."""
        self._is_closed = True
        while self._idle:
            await close(self._idle.pop().connection)


class LongReader:
    """One connection and its loop, used by one thread at a time: what a read decodes holds up no other loop.

    Args:
        connect: opens a connection, in whichever event loop runs; raises StoreUnavailable.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._readers = Readers(connect, room=1)
        self._loop = asyncio.new_event_loop()
        self._running: asyncio.Task[Any] | None = None

    def run(self, call: Call[T], app_id: bytes) -> T:
        """See `Readers.run`."""
        return self._loop.run_until_complete(self._read(call, app_id))

    async def _read(self, call: Call[T], app_id: bytes) -> T:
        self._running = asyncio.current_task()
        try:
            return await self._readers.run(call, app_id)
        except asyncio.CancelledError:
            raise StoreUnavailable(CLOSED) from None
        finally:
            self._running = None

    def interrupt(self) -> None:
        """Break off the read that runs, if one does; from any thread."""
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(lambda: self._running and self._running.cancel())

    def close(self) -> None:
        """Let go of the connection."""
        self._loop.run_until_complete(self._readers.close())
        self._loop.close()


def _answer(outcome: Outcome[T], cause: Exception | None) -> T:
    if outcome.error is None:
        return outcome.answer  # type: ignore[return-value]
    if cause is not None and sqlstate(cause) == READ_ONLY:
        raise CallRefused("A read may not write.") from cause
    raise outcome.error

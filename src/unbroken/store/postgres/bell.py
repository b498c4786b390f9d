"""The bell: a process that has left something to do rings it with NOTIFY, and the one that waits hears it by LISTEN.

It is a wake-up and nothing else. Whoever waits looks again after a while in any case, so one that is lost, with its
connection or while the server is away, costs that while. Nothing is decided by what was heard.

It is rung after the commit, on a connection of its own, for all that was left meanwhile together. Within the writers'
transactions PostgreSQL would hold a lock of the whole server from then until their commit is on the disk.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_CHANNEL: Final = "SELECT 'unbroken ' || hashtext(current_schema())"
_RING: Final = "SELECT pg_notify($1, '')"
_GAP_S: Final = 0.02
"""Between two rings: under load whoever hears them has work anyway."""

_PAUSE_S: Final = 1.0
"""Between two attempts to reach the server."""

_GOODBYE_S: Final = 2.0


class Bell:
    """See the module. Belongs to the event loop; connects when it is first used, and again after a loss.

    Args:
        connect: opens a connection; raises StoreUnavailable.
        poll_s: how long `wait` waits at most.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], poll_s: float) -> None:
        self._connect = connect
        self._poll_s = poll_s
        self._heard = asyncio.Event()
        self._stirred = asyncio.Event()
        self._is_rung = False
        self._has_ears = False
        self._ending = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Wake whoever waits, in every process on the tables."""
        self._heard.set()
        self._is_rung = True
        self._stir()

    async def wait(self) -> None:
        """Return when the bell was rung since the last return, or may have been."""
        if not self._has_ears:
            self._has_ears = True
            self._stir()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._heard.wait()
        self._heard.clear()

    async def stop(self) -> None:
        """Ring what is to be rung, then let go of the connection."""
        self._ending.set()
        self._stirred.set()
        serving = self._serving
        if serving is not None:
            await asyncio.wait([serving], timeout=_GOODBYE_S)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def _stir(self) -> None:
        self._stirred.set()
        if self._serving is None and not self._ending.is_set():
            self._serving = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        """Stay connected for as long as there is anything to ring or to hear."""
        try:
            while (self._is_rung or self._has_ears) and not self._ending.is_set():
                try:
                    await self._serve_on(await self._connect())
                except Exception:  # noqa: BLE001 - whatever it is, those who wait look by themselves meanwhile
                    await self._pause()
        finally:
            self._serving = None

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                await self._ending.wait()

    async def _serve_on(self, connection: Any) -> None:
        """Until the connection is lost, or nothing is left to do."""
        connection.add_termination_listener(lambda _: self._stirred.set())
        is_listening = False
        try:
            channel = await connection.fetchval(_CHANNEL)
            while not connection.is_closed() and (self._is_rung or not self._ending.is_set()):
                self._stirred.clear()
                if self._has_ears and not is_listening:
                    await connection.add_listener(channel, self._hear)
                    is_listening = True
                    self._heard.set()  # it may have been rung before
                elif self._is_rung:
                    self._is_rung = False
                    await self._ring_on(connection, channel)
                else:
                    await self._stirred.wait()
        finally:
            connection.terminate()
            self._heard.set()

    async def _ring_on(self, connection: Any, channel: str) -> None:
        try:
            await connection.execute(_RING, channel)
        except BaseException:
            self._is_rung = True
            raise
        await asyncio.sleep(_GAP_S)

    def _hear(self, connection: Any, pid: int, _channel: str, _payload: object) -> None:
        if pid != connection.get_server_pid():  # one's own was heard when it was rung
            self._heard.set()

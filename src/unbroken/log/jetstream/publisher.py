"""Publishing: many records on their way at once, and a bound to how much may wait for its acknowledgement."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from unbroken.log.jetstream.connection import JetStreamError, refuse_error
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from unbroken.log.jetstream.connection import Connection

WINDOW_BYTES: Final = 16 << 20
_OVERHEAD_BYTES: Final = 512
"""What a record costs in memory beside its body."""

_PATIENCE_S: Final = 5.0
"""An election takes seconds; who calls is told to come again before his own patience ends."""
_ATTEMPT_S: Final = 2.0
_PAUSE_S: Final = 0.1
_FULL: Final = frozenset({10077, 10047, 10023})
"""JetStream's numbers: the stream's limit, the storage's, the server's."""


class Publisher:
    """See the module."""

    def __init__(self, connection: Connection, window_bytes: int = WINDOW_BYTES) -> None:
        self.waiting_bytes = 0
        self.waiting_records = 0
        self.refused = 0
        self._connection = connection
        self._window_bytes = window_bytes

    async def publish(self, subject: str, payload: bytes, message_id: str) -> int:
        """Store a record; it is on the disks of a majority when this returns.

        An attempt that was not answered is made again under the same id, of which JetStream keeps the first.

        Returns:
            Its sequence.

        Raises:
            StoreUnavailable: it was perhaps not stored.
        """
        size_bytes = len(payload) + _OVERHEAD_BYTES
        if self.waiting_bytes + size_bytes > self._window_bytes:
            self.refused += 1
            raise StoreUnavailable("The payload log does not keep up: too much waits to be stored. Send it again.")
        self.waiting_bytes += size_bytes
        self.waiting_records += 1
        try:
            return await self._publish(subject, payload, message_id)
        finally:
            self.waiting_bytes -= size_bytes
            self.waiting_records -= 1

    async def _publish(self, subject: str, payload: bytes, message_id: str) -> int:
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE_S
        while True:
            try:
                return await self._attempt(subject, payload, message_id)
            except StoreUnavailable:
                if loop.time() + _PAUSE_S >= until:
                    self.refused += 1
                    raise
            except JetStreamError as error:
                if error.code in _FULL or loop.time() + _PAUSE_S >= until:
                    self.refused += 1
                    raise StoreUnavailable(f"The payload log takes nothing now: {error.said}.") from error
            await asyncio.sleep(_PAUSE_S)

    async def _attempt(self, subject: str, payload: bytes, message_id: str) -> int:
        answer = await self._connection.request(subject, payload, _ATTEMPT_S, {"Nats-Msg-Id": message_id})
        return int(refuse_error(json.loads(answer.data))["seq"])

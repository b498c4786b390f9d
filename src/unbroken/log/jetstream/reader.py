"""Reading a stream: in batches from any replica, and the last word from the leader."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from unbroken.log.jetstream.connection import NOT_FOUND, JetStreamError, Stored
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.log.jetstream.connection import Connection
    from unbroken.log.jetstream.stream import Wanted

SHUNNED_FIRST_S: Final = 1.0
SHUNNED_MAX_S: Final = 10.0
"""How long the leader alone is asked, one record at a time, after a replica was silent; twice as long after each time
more. It may have been a moment, or this process that stood still, and one record at a time is slow.
"""

_BATCH: Final = 256


class Reader:
    """See the module.

    Args:
        seconds: counts them, from anywhere, and never back.
    """

    def __init__(
        self, connection: Connection, wanted: Wanted, *, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._stream = wanted.name
        self._seconds = seconds
        self._shunned_s = 0.0
        self._silent_until_s = float("-inf")

    async def after(self, subject: str, sequence: int, limit: int) -> list[Stored]:
        """Some messages after `sequence` whose subject fits, in order; none only where the leader has none."""
        found = await self._from_any(subject, sequence, limit)
        if not found and (first := await self.first_after(subject, sequence)) is not None:
            return [first]
        return found

    async def _from_any(self, subject: str, sequence: int, limit: int) -> list[Stored]:
        """From whichever replica hears it; nothing where that one is silent, and for a while afterwards.

        It is mostly the same one, the nearest. One that hangs must not keep us from what the others have.
        """
        if self._seconds() < self._silent_until_s:
            return []
        try:
            found = await self._connection.batch(self._stream, subject, sequence + 1, limit)
        except StoreUnavailable:
            self._shunned_s = min(max(SHUNNED_FIRST_S, 2 * self._shunned_s), SHUNNED_MAX_S)
            self._silent_until_s = self._seconds() + self._shunned_s
            return []
        self._shunned_s = 0.0
        return found

    async def all_after(self, subject: str, sequence: int, limit: int) -> list[Stored]:
        """All messages after `sequence` that the leader has, up to `limit`."""
        found: list[Stored] = []
        while len(found) < limit:
            more = await self.after(subject, sequence, min(_BATCH, limit - len(found)))
            if not more:
                break
            found += more
            sequence = more[-1].sequence
        return found

    async def first_after(self, subject: str, sequence: int) -> Stored | None:
        """The first message after `sequence` that the leader has."""
        wanted = {"seq": sequence + 1, "next_by_subj": subject}
        try:
            answer = await self._connection.ask(f"STREAM.MSG.GET.{self._stream}", wanted)
        except JetStreamError as error:
            if error.status == NOT_FOUND:
                return None
            raise StoreUnavailable(f"JetStream cannot read the payload log now: {error.said}.") from error
        message = answer["message"]
        return Stored(int(message["seq"]), message["subject"], b64decode(message.get("data", "")))

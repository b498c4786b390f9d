"""Crew: how the workers of one platform share the work out, without anybody who tells them.

Each says every two seconds that it is alive, and learns who else is. Of a piece of work, a partition or a timeline,
each then knows by itself whose it is: the same on all, and when one comes or goes only its own pieces change hands.
For a moment two may think otherwise; what they then write is refused to one of them, by the partition's epoch or the
timeline's version.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from unbroken.store import workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.flow.context import Context

ALIVE_MS: Final = 8_000
"""How long a worker that was killed still counts; its work rests as long."""
_SAID_EVERY_MS: Final = 2_000


class Crew:
    """See the module.

    Args:
        holder: the name of one run of one worker.
        is_alone: no other process may work on the same log.
    """

    def __init__(self, context: Context, holder: str, *, is_alone: bool) -> None:
        self.members: Sequence[str] = [holder]
        self._context = context
        self._holder = holder
        self._is_alone = is_alone
        self._said_at: int | None = None

    async def meet(self) -> None:
        """Say that this worker is alive, and learn who else is, if it is time again."""
        if self._is_alone:
            return
        now_ms = self._context.wall.now_ms()
        if self._said_at is not None and 0 <= now_ms - self._said_at < _SAID_EVERY_MS:
            return
        holder, until_ms = self._holder, now_ms + ALIVE_MS
        self.members = await self._context.store.write(lambda tx: workers.say_alive(tx, holder, now_ms, until_ms))
        self._said_at = now_ms

    def has(self, work: bytes) -> bool:
        """Whether a piece of work is this worker's."""
        return owner(self.members, work) == self._holder

    async def leave(self) -> None:
        """Let the others have its work at once."""
        if not self._is_alone:
            await self._context.store.write(lambda tx: workers.leave(tx, self._holder))


def owner(members: Sequence[str], work: bytes) -> str:
    """Whose a piece of work is: the one of `members` that it is worth most to, by a hash."""
    if len(members) == 1:
        return members[0]
    return max(members, key=lambda member: blake2b(work, key=member.encode(), digest_size=8).digest())

"""How often one account may call: a token bucket for each, in this process unless the host brings a shared one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from unbroken.backend.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable

_ACCOUNTS_MAX: Final = 20_000
"""Of which a process keeps a bucket; that of the account that called longest ago goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`burst` calls at once, then one every `every_s` seconds. A login on a phone takes two or three."""

    burst: int = 20
    every_s: float = 3.0

    def __post_init__(self) -> None:
        if self.burst < 1 or self.every_s <= 0:
            raise InvalidConfig("an account may call at least once, and then again after some time")


class Limit(Protocol):
    """Counts the calls of accounts, perhaps for several processes together."""

    def wait_ms(self, account: str, now_ms: int) -> int | Awaitable[int]:
        """Count a call and answer 0; or let it be, and answer after how long one will be let in.

        May be awaited by the kit's asyncio face only.
        """
        ...


def take(full_at_ms: int, pace: Pace, now_ms: int) -> tuple[int, int]:
    """One call on a bucket.

    Args:
        full_at_ms: when the bucket will be full, if nobody takes anything: all that is kept of it.

    Returns:
        When it will be full after this call, and how long the call has to wait: 0 where it goes on.
    """
    every_ms = round(pace.every_s * 1000)
    filled_ms = min(max(full_at_ms, now_ms), now_ms + pace.burst * every_ms)  # however far a clock was set back
    wait_ms = filled_ms - now_ms - (pace.burst - 1) * every_ms
    return (filled_ms, wait_ms) if wait_ms > 0 else (filled_ms + every_ms, 0)


class InProcessLimit:
    """The buckets of one process."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._full_at_ms: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def wait_ms(self, account: str, now_ms: int) -> int:
        """See `Limit.wait_ms`."""
        with self._lock:
            full_at_ms, wait_ms = take(self._full_at_ms.pop(account, now_ms), self._pace, now_ms)
            self._full_at_ms[account] = full_at_ms
            if len(self._full_at_ms) > _ACCOUNTS_MAX:
                self._full_at_ms.popitem(last=False)
        return wait_ms

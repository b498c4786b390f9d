"""When a call is tried again: exponential backoff with full jitter, `Retry-After` obeyed, both within bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.backend.errors import InvalidConfig
from unbroken.backend.exchange import is_temporary
from unbroken.outgoing import NoReply, full_jitter

if TYPE_CHECKING:
    from unbroken.backend.exchange import Heard
    from unbroken.randomness import Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How patient a call is. A phone waits for the linker for a minute, so the default stays under it.

    Args:
        tries_max: requests a call may send; 1 never repeats.
        pause_first_s: the longest pause before the second try; it doubles with each.
        pause_max_s: the longest pause by backoff.
        wait_max_s: all pauses of a call together. A `Retry-After` beyond it ends the call with that refusal at once.
    """

    tries_max: int = 4
    pause_first_s: float = 0.25
    pause_max_s: float = 4.0
    wait_max_s: float = 10.0

    def __post_init__(self) -> None:
        if self.tries_max < 1 or min(self.pause_first_s, self.pause_max_s, self.wait_max_s) < 0:
            raise InvalidConfig("a call is tried at least once, and no pause is negative")


class Attempts:
    """The tries of one call, counted."""

    def __init__(self, retry: Retry, randomness: Randomness) -> None:
        self._retry = retry
        self._randomness = randomness
        self._tries = 0
        self._waited_s = 0.0

    def pause_after(self, heard: Heard) -> float | None:
        """Seconds to wait before the same request is sent again, or None if this answer is the last word."""
        self._tries += 1
        if self._tries >= self._retry.tries_max or not is_temporary(heard):
            return None
        pause_s = max(self._backoff_s(), _asked_pause_s(heard))
        self._waited_s += pause_s
        return pause_s if self._waited_s <= self._retry.wait_max_s else None

    def _backoff_s(self) -> float:
        retry = self._retry
        return full_jitter(self._tries - 1, retry.pause_first_s, retry.pause_max_s, self._randomness.fraction())


def _asked_pause_s(heard: Heard) -> float:
    return 0.0 if isinstance(heard, NoReply) else float(heard.retry_after_s or 0)

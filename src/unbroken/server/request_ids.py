"""Ids of requests: `X-Request-Id`, `ref` of errors, and what joins the log's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.randomness import Randomness

_BATCH: Final = 256


class RequestIds:
    """Hands out UUIDs (version 4), taking chance for many at a time: asking the kernel for each would cost more."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._left: list[str] = []

    def next(self) -> str:
        """A new one."""
        if not self._left:
            self._left = self._batch()
        return self._left.pop()

    def _batch(self) -> list[str]:
        digits = self._randomness.secret(16 * _BATCH).hex()
        return [_uuid4(digits[start : start + 32]) for start in range(0, len(digits), 32)]


def _uuid4(digits: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

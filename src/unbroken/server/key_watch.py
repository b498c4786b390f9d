"""Key watch: a running server tells of API keys that end soon: in metrics, and two weeks and one week before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from unbroken import wire
from unbroken.domain.payload import DAY_MS
from unbroken.flow.rotate import keys_ending

if TYPE_CHECKING:
    from unbroken.domain.ids import KeyId
    from unbroken.flow.context import Context
    from unbroken.server.metrics import Metrics
    from unbroken.store.api_keys import Key

WARNED_DAYS: Final = (14, 7)
EVERY_S: Final = 3_600.0

log = structlog.get_logger()


class KeyWatch:
    """See the module. A key that was rotated is not told of: it is meant to end."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._left_ms: list[int] = []
        self._told: set[tuple[KeyId, int]] = set()
        for days in WARNED_DAYS:
            meaning = f"API keys without a successor that end within {days} days."
            metrics.gauge(f"unbroken_keys_ending_in_{days}_days", meaning, lambda days=days: self._within(days))  # type: ignore[misc]

    def _within(self, days: int) -> int:
        return sum(left_ms <= days * DAY_MS for left_ms in self._left_ms)

    async def look(self) -> None:
        """Look once, and tell of each key when it comes to be so near to its end."""
        now_ms = self._context.wall.now_ms()
        keys = await keys_ending(self._context, max(WARNED_DAYS) * DAY_MS)
        self._left_ms = [key.expires_at - now_ms for key in keys]
        for key in keys:
            days = min(days for days in WARNED_DAYS if key.expires_at - now_ms <= days * DAY_MS)
            if (key.key_id, days) not in self._told:
                self._told.add((key.key_id, days))
                _tell(key, days)


def _tell(key: Key, days: int) -> None:
    log.warning(
        "key ends soon",
        code="KEY_ENDS",
        key_id=key.key_id.hex(),
        app_id=key.app_id.hex(),
        within_days=days,
        ends_at=wire.iso(key.expires_at),
    )

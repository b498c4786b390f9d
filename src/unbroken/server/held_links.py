"""Held links: an API key that links faster than it may was perhaps stolen, so somebody is told whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from unbroken.domain.rate import MINUTE_MS, Limit
from unbroken.server.metrics import LINKS_HELD

if TYPE_CHECKING:
    from unbroken.clock import Clock
    from unbroken.server.metrics import Metrics

_KEYS_MAX: Final = 10_000

log = structlog.get_logger()


class HeldLinks:
    """Counts every call that came too often; of link calls it says once a minute with which key."""

    def __init__(self, wall: Clock, metrics: Metrics) -> None:
        self._wall = wall
        self._metrics = metrics
        self._told_until: dict[bytes, int] = {}

    def refused(self, limit: Limit, who: bytes) -> None:
        """A call was refused by the limit of this key, app, install or address."""
        self._metrics.refused_by(limit)
        if limit is not Limit.KEY_LINKS:
            return
        self._metrics.alarm(LINKS_HELD)
        if self._is_news(who):
            log.warning("links held", code=LINKS_HELD, key_id=who.hex())

    def _is_news(self, key_id: bytes) -> bool:
        now_ms = self._wall.now_ms()
        if now_ms < self._told_until.get(key_id, 0):
            return False
        if len(self._told_until) >= _KEYS_MAX:
            self._told_until.clear()
        self._told_until[key_id] = now_ms + MINUTE_MS
        return True

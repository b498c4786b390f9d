"""Late windows: how late an item may come, which is decided by the policy in force when it came.

A change of policy counts for what is received after it, so what was judged before stays as it was told; only a replay
that was switched to judges the past anew (linking.md, laws 7 and 8; "policies are those in force at that point").
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from unbroken.domain.app import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.ids import InstallId


_FIRST: Final = Policy().late_window_days


@dataclass(frozen=True, slots=True)
class LateWindows:
    """The late windows of an app, in days, by when an upload was received.

    Args:
        first: the one before any change.
        changes: (when, to what), in order of time.
        replayed: (until when, under what) all that was received of an install is judged by a replay's policy.
        handovers: (when, to how many hours) the bound after a handover was changed, in order of time; 0 is none.
    """

    first: int = _FIRST
    changes: tuple[tuple[int, int], ...] = ()
    replayed: Mapping[InstallId, tuple[int, int]] = field(default_factory=dict)
    handovers: tuple[tuple[int, int], ...] = ()

    def days(self, install_id: InstallId, received_at: int) -> int:
        """The window in force at a receipt: of the last change before that millisecond."""
        until_ms, days = self.replayed.get(install_id, (-1, self.first))
        if received_at <= until_ms:
            return days
        place = bisect_left(self.changes, received_at, key=lambda change: change[0])
        return self.changes[place - 1][1] if place else self.first

    def hours_after_handover(self, received_at: int) -> int:
        """The bound in force at a receipt; 0 where there is none. A replay tries no other one."""
        place = bisect_left(self.handovers, received_at, key=lambda change: change[0])
        return self.handovers[place - 1][1] if place else 0

    def widest(self, since_ms: int = 0) -> int:
        """The widest that was in force at an instant or later."""
        place = bisect_left(self.changes, since_ms, key=lambda change: change[0])
        then = self.changes[place - 1][1] if place else self.first
        later = [days for _, days in self.changes[place:]]
        return max([then, *later, *(days for until_ms, days in self.replayed.values() if until_ms >= since_ms)])

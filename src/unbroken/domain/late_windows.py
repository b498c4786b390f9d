"""Late windows: how late an item may come, which is decided by the policy in force when it came.

A change of policy counts for what is received after it, so what was judged before stays as it was told; only a replay
that was switched to judges the past anew (linking.md, laws 7 and 8; "policies are those in force at that point").
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain.app import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unbroken.domain.ids import InstallId


_FIRST: Final = Policy().late_window_days
_FOR_EVER_MS: Final = 2**62


class JudgedAnew(NamedTuple):
    """What a replay that was switched to said of an install.

    Args:
        until_ms: of what was received up to then ...
        days: ... this window decides, ...
        after_ms: ... if it was captured later than this: what lies before a floor stays as it was told.
    """

    until_ms: int
    days: int
    after_ms: int = -1


@dataclass(frozen=True, slots=True)
class LateWindows:
    """The late windows of an app, in days, by when an upload was received.

    Args:
        first: the one before any change.
        changes: (when, to what), in order of time.
        replayed: what replays said of an install, in order of time; the last that speaks of an item decides.
        handovers: (when, to how many hours) the bound after a handover was changed, in order of time; 0 is none.
    """

    first: int = _FIRST
    changes: tuple[tuple[int, int], ...] = ()
    replayed: Mapping[InstallId, Sequence[JudgedAnew]] = field(default_factory=dict)
    handovers: tuple[tuple[int, int], ...] = ()

    def days(self, install_id: InstallId, received_at: int, captured_at: int) -> int:
        """The window in force at a receipt, of the last change before that millisecond; or a replay's."""
        for said in reversed(self.replayed.get(install_id, ())):
            if received_at <= said.until_ms and captured_at > said.after_ms:
                return said.days
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
        replayed = [one.days for said in self.replayed.values() for one in said if one.until_ms >= since_ms]
        return max([then, *later, *replayed])

    def tried(self, days: int, installs: Iterable[InstallId], after_ms: int) -> LateWindows:
        """The same, but all that some installs captured after an instant is judged under one window."""
        trial = JudgedAnew(_FOR_EVER_MS, days, after_ms)
        return replace(self, replayed={one: (*self.replayed.get(one, ()), trial) for one in installs})

"""Rate: how often somebody may call, decided from one number that is kept of each.

The number is an instant: until then all the calls so far are paid off, at so much time a call (the generic cell rate
algorithm of ITU-T I.371, as used for calls). Whoever has been quiet may call in a burst; whoever calls on and on gets
the rate and no more. Refused calls cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MINUTE_MS: Final = 60_000
BURST_MIN_CALLS: Final = 10
BURST_PART: Final = 6
"""A burst is what the rate allows in ten seconds."""


class Limit(StrEnum):
    """Whose calls are counted together; the value is how a refusal says it."""

    KEY = "This API key"
    KEY_LINKS = "Link calls with this API key"
    APP = "This app"
    INSTALL = "This install"
    ADDRESS = "This address"
    APP_REGISTRATIONS = "Registrations of this app"
    ADDRESS_REGISTRATIONS = "Registrations from this address"
    KEY_QUOTA = "The quota of this API key"
    APP_QUOTA = "The quota of this app"
    """The last two are of a day (`quota.py`), the others of a minute."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many calls a minute are allowed in the long run; at least one.

    Attributes:
        burst: how many calls may come at once after a silence.
        call_ms: what one call costs.
        ahead_ms: how far ahead of now the instant may lie after a call.
        owed_max_ms: how far ahead what other processes allowed may push it.
    """

    per_minute: int
    burst: int = field(init=False)
    call_ms: float = field(init=False)
    ahead_ms: float = field(init=False)
    owed_max_ms: float = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what every call needs."""
        set_once = object.__setattr__
        set_once(self, "burst", max(BURST_MIN_CALLS, self.per_minute // BURST_PART))
        set_once(self, "call_ms", MINUTE_MS / self.per_minute)
        set_once(self, "ahead_ms", self.burst * self.call_ms)
        set_once(self, "owed_max_ms", max(MINUTE_MS, 2 * self.ahead_ms))


def paid_at(rate: Rate, before: float, now_ms: float, calls: int = 1) -> float:
    """The instant at which `calls` more are paid off, where those before it were at `before`."""
    return (before if before > now_ms else now_ms) + calls * rate.call_ms  # noqa: FURB136 - `max` takes twice as long


def wait_ms(rate: Rate, after: float, now_ms: float) -> float:
    """How long the call that leads to the instant `after` must wait; 0 or less where it may be made now."""
    return after - now_ms - rate.ahead_ms

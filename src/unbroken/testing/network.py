"""The network between one virtual device and the platform: it loses, delays, repeats and reorders, by a seed.

It is an `httpx` transport, so that the real SDK runs over it unchanged. Every request carries `Lab-Time`, the lab's
clock at the instant the platform gets it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from unbroken.randomness import Randomness
    from unbroken.testing.clock import LabClock

LAB_TIME: Final = "Lab-Time"
_UPLOAD: Final = "/sdk/payloads"


class Fate(Enum):
    """What becomes of one request."""

    DELIVERED = "delivered"
    LOST = "lost"
    REPLY_LOST = "reply lost"
    REPEATED = "repeated"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Conditions:
    """How bad a network is. Each share is in [0, 1] and drawn for each request; together they are at most 1.

    Args:
        lost: never reaches the platform; the device sees a timeout.
        reply_lost: takes effect, but its reply never comes back; the device sees a timeout.
        repeated: reaches the platform twice, as through a proxy that retries; the device gets the last reply.
        late: an upload that reaches the platform up to `late_max_s` of virtual time after the device gave it up. As
            each has a delay of its own, and the device tries again meanwhile, uploads overtake each other.
        late_max_s: the longest such delay, in seconds.
        is_down: there is no network at all.

    Only uploads come late. A credential exchange that arrived after its own repetition would be a copy of the
    credential in somebody's hands, and the platform rightly takes it for one.
    """

    lost: float = 0.0
    reply_lost: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    late_max_s: float = 1_200.0
    is_down: bool = False

    def __post_init__(self) -> None:
        shares = (self.lost, self.reply_lost, self.repeated, self.late)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"the shares of a network's faults are at least 0 and together at most 1, not {shares}")

    def fate(self, fraction: float) -> Fate:
        """The fate that a fraction in [0, 1) falls on."""
        for share, fate in (
            (self.lost, Fate.LOST),
            (self.reply_lost, Fate.REPLY_LOST),
            (self.repeated, Fate.REPEATED),
            (self.late, Fate.LATE),
        ):
            if fraction < share:
                return fate
            fraction -= share
        return Fate.DELIVERED


GOOD: Final = Conditions()
BAD: Final = Conditions(lost=0.12, reply_lost=0.12, repeated=0.15, late=0.12)
DOWN: Final = Conditions(is_down=True)


class Network(httpx.BaseTransport):
    """The network of one device.

    Args:
        clock: the lab's.
        randomness: a seeded source of this network's own, so that other devices do not change its faults.
        carrier: what really carries the requests; shared, and closed by whoever made it.
        conditions: how bad it is; may be changed at any time.
    """

    def __init__(
        self, clock: LabClock, randomness: Randomness, carrier: httpx.BaseTransport, conditions: Conditions = GOOD
    ) -> None:
        self.conditions = conditions
        self.fates: Counter[Fate] = Counter()
        self._clock = clock
        self._randomness = randomness
        self._carrier = carrier

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request, or not. See `httpx.BaseTransport`."""
        content = request.read()
        if self.conditions.is_down:
            raise httpx.ConnectError("there is no network", request=request)
        fate = self._draw(request)
        self.fates[fate] += 1
        if fate is Fate.LOST:
            raise httpx.ConnectTimeout("the request was lost", request=request)
        if fate is Fate.LATE:
            self._hold(request, content)
            raise httpx.ReadTimeout("the request is on its way for too long", request=request)
        response = self._deliver(request, content)
        if fate is Fate.REPLY_LOST:
            raise httpx.ReadTimeout("the reply was lost", request=request)
        return self._deliver(request, content) if fate is Fate.REPEATED else response

    def close(self) -> None:
        """Nothing: the carrier is shared."""

    def _draw(self, request: httpx.Request) -> Fate:
        fate = self.conditions.fate(self._randomness.fraction())
        if fate is Fate.LATE and request.url.path != _UPLOAD:
            return Fate.LOST
        return fate

    def _hold(self, request: httpx.Request, content: bytes) -> None:
        delay_ms = int(self.conditions.late_max_s * 1000 * self._randomness.fraction())
        self._clock.at(self._clock.now_ms() + delay_ms, lambda: self._deliver(request, content))

    def _deliver(self, request: httpx.Request, content: bytes) -> httpx.Response:
        """Carry a copy and read its reply whole, so that no connection is left open by a reply nobody wants."""
        headers = request.headers.copy()
        headers[LAB_TIME] = str(self._clock.now_ms())
        copy = httpx.Request(
            request.method, request.url, headers=headers, content=content or None, extensions=request.extensions
        )
        response = self._carrier.handle_request(copy)
        response.request = copy
        response.read()
        response.close()
        return response

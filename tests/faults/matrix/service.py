"""Whether the service is back: every API answers every kind of call, and workers process what it took."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults.matrix.load import Refused, location
from tests.model.api import DAY_MS, PHONE, Api, Connection, random_uuid

from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.model.api import App, Reply

_INSTALLS: Final = 8
"""Their uploads fall to all workers, but for one time in hundreds."""
_REPLY_S: Final = 1.5
_POLL_S: Final = 0.05
_GIVE_UP_S: Final = 60.0
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Back:
    """Seconds from the instant that counts until every API had answered, and until all it took was on a timeline."""

    answered_s: float
    processed_s: float


def back(base_urls: Sequence[str], app: App, since_s: float, mark: str) -> Back:
    """Ask until the service is back.

    Args:
        since_s: the instant that counts, by the monotonic clock.
        mark: for keys and accounts, another one each time.

    Raises:
        Refused: it was not for a minute.
    """
    with ThreadPoolExecutor(len(base_urls)) as pool:
        asked = [pool.submit(_ask, url, app, f"{mark}-{n}", since_s + _GIVE_UP_S) for n, url in enumerate(base_urls)]
        times = [each.result() for each in asked]
    return Back(max(at for at, _ in times) - since_s, max(at for _, at in times) - since_s)


def _ask(base_url: str, app: App, mark: str, deadline_s: float) -> tuple[float, float]:
    """When this API had answered, and when what it took was processed."""
    asking = _Asking(base_url, deadline_s)
    try:
        users = [_live(asking, app, f"{mark}-{number}") for number in range(_INSTALLS)]
        answered_s = time.monotonic()
        for user in users:
            asking.until(lambda api, user=user: _timeline(api, app, user), lambda reply: bool(reply.json))  # type: ignore[misc]
        return answered_s, time.monotonic()
    finally:
        asking.api.connection.close()


def _live(asking: _Asking, app: App, mark: str) -> str:
    """Register, link and upload; the user."""
    told = asking.until(lambda api: api.register(app.basic, PHONE, key=random_uuid(mark))).json
    account, token = f"{random_uuid(mark)}@example.org", told["user_token"]["token"]
    linked = asking.until(
        lambda api: api.link(app.bearer, told["install_id"], account, key=random_uuid(mark, "link"))
    ).json
    now_ms = _CLOCK.now_ms()
    payload = (random_uuid(mark, "payload"), [location(now_ms + 2)])
    asking.until(lambda api: api.upload(token, now_ms, [payload]))
    return str(linked["id"])


def _timeline(api: Api, app: App, user: str) -> Reply:
    now_ms = _CLOCK.now_ms()
    return api.events(app.bearer, user, now_ms - DAY_MS, now_ms + DAY_MS)


class _Asking:
    """One API, asked without much patience."""

    def __init__(self, base_url: str, deadline_s: float) -> None:
        self.api = Api(Connection(base_url), lab=False)
        self._deadline_s = deadline_s
        self._last = "nothing"

    def until(self, call: Callable[[Api], Reply], is_so: Callable[[Reply], bool] = lambda _: True) -> Reply:
        """The first reply that says it succeeded, and of which `is_so`."""
        while time.monotonic() < self._deadline_s:
            self.api.connection.timeout_s = _REPLY_S
            try:
                reply = call(self.api)
                self._last = str(reply)
                if reply.status < 300 and is_so(reply):
                    return reply
                if 400 <= reply.status < 500:
                    raise Refused(f"The platform refused what it may not refuse: {reply}")
            except ConnectionError as lost:
                self._last = str(lost)
            time.sleep(_POLL_S)
        raise Refused(f"The service is not back after {_GIVE_UP_S:.0f} s; the last answer was {self._last}")

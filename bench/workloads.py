"""The workloads, as requests without end for one application; the platform and the baseline are sent the same.

| workload | a request |
| --- | --- |
| register | a phone that registers, for the first time |
| link | an unlinked install to an account: of the first 512 nobody knows it, the next 512 take it over from these |
| ingest | an upload of 18 fixes, about 1.5 KB, of many phones in turn |
| timeline | a day of a person, which was uploaded in twelve parts |
| mixed | of twenty: fourteen uploads, three days, two registrations, one link |
"""

from __future__ import annotations

from itertools import count, cycle, pairwise
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from bench import calls
from bench.population import AGE_MS, DAY_MS
from unbroken import wire
from unbroken.demo.persona import day_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken.wire import Item

READERS: Final = 16
"""People whose day is read; they do not upload."""

UPLOADS_A_DAY: Final = 12
NEW_ACCOUNTS: Final = 512
"""Links to accounts that nobody knows, before as many that take them over; more than there are clients, so that no two
calls for one account are under way at once."""

STATUS: Final = {"register": 201, "link": 200, "ingest": 202, "timeline": 200, "mixed": None}
_MIX: Final = (
    ("ingest",) * 5
    + ("timeline",)
    + ("ingest",) * 4
    + ("register", "timeline", "link")
    + ("ingest",) * 5
    + ("timeline", "register")
)


class Application(Protocol):
    """What is asked: one app, and installs that are there."""

    app_id: str
    app_secret: str
    api_key: str

    def send(self, requests: Sequence[bytes], status: int) -> list[bytes]:
        """Send all of them; what was answered."""
        ...

    def tokens(self) -> list[str]:
        """User tokens of installs that registered four days ago, or any time."""
        ...

    def user_ids(self) -> list[str]:
        """The users of the same installs."""
        ...


class Workloads:
    """Of one application; each goes on where it was left.

    Args:
        name: of the accounts, so that others on the same platform have others.
        first_day: of the four before today, which the uploads begin to tell of.

    Attributes:
        unlinked: ids of installs that can be linked; whoever adds some, lets links go on.
    """

    def __init__(self, application: Application, now_ms: int, *, name: str = "main", first_day: int = 0) -> None:
        self._application = application
        self._now_ms = now_ms
        self._name = name
        self._first_day = first_day
        self._day = wire.iso(_yesterday_ms(now_ms))[:10]
        self.unlinked: list[str] = []
        self._linked = 0
        self._endless = {
            "register": self._register(),
            "ingest": self._ingest(),
            "timeline": self._timeline(),
            "mixed": self._mixed(),
        }

    def of(self, workload: str) -> Iterator[bytes]:
        """Its requests from now on."""
        return self._link() if workload == "link" else self._endless[workload]

    def note(self, replies: Sequence[bytes]) -> None:
        """What registrations were answered: these installs can be linked."""
        self.unlinked += install_ids(replies)

    def upload_days(self) -> None:
        """Let each reader's phone upload yesterday."""
        for token, number in zip(self._application.tokens()[:READERS], count(), strict=False):
            items = _of_day(number, _yesterday_ms(self._now_ms))
            parts = [calls.upload(token, part, self._now_ms) for part in _parts(items)]
            self._application.send(parts, 202)

    def _register(self) -> Iterator[bytes]:
        app = self._application
        return calls.registrations(app.app_id, app.app_secret, None, self._now_ms)

    def _link(self) -> Iterator[bytes]:
        while self.unlinked:
            account = f"{self._name}-{account_of(self._linked)}"
            self._linked += 1
            yield calls.link(self._application.api_key, self.unlinked.pop(), account, self._now_ms)

    def _ingest(self) -> Iterator[bytes]:
        tokens = self._application.tokens()[READERS:]
        for day in range(self._first_day, AGE_MS // DAY_MS):
            from_ms = self._now_ms - AGE_MS + day * DAY_MS + calls.STRETCH_MS
            stretches = DAY_MS // calls.STRETCH_MS - 1
            yield from calls.uploads(tokens, from_ms=from_ms, sent_at=self._now_ms, stretches=stretches)

    def _timeline(self) -> Iterator[bytes]:
        authorization = calls.bearer(self._application.api_key)
        query = f"from={self._day}&to={self._day}"
        return cycle(
            calls.request("GET", f"/v2/users/{user_id}/events?{query}", authorization)
            for user_id in self._application.user_ids()[:READERS]
        )

    def _mixed(self) -> Iterator[bytes]:
        for workload in cycle(_MIX):
            request = next(self.of(workload), None)
            if request is not None:  # no install is left to be linked
                yield request


def account_of(number: int) -> int:
    """Which account the n-th link is to: new ones, then the same again."""
    block, place = divmod(number, 2 * NEW_ACCOUNTS)
    return block * NEW_ACCOUNTS + place % NEW_ACCOUNTS


def install_ids(replies: Sequence[bytes]) -> list[str]:
    """Of registrations, what was answered."""
    return [msgspec.json.decode(reply)["install_id"] for reply in replies]  # noqa: TID251 - in one thread


def _yesterday_ms(now_ms: int) -> int:
    return now_ms // DAY_MS * DAY_MS - DAY_MS


def _of_day(seed: int, midnight_ms: int) -> list[Item]:
    items = day_of(seed).items
    shift_ms = midnight_ms - items[0].t // DAY_MS * DAY_MS
    return [msgspec.structs.replace(item, t=item.t + shift_ms) for item in items]


def _parts(items: list[Item]) -> Iterator[list[Item]]:
    """The day in as many uploads of about equal length."""
    bounds = [len(items) * part // UPLOADS_A_DAY for part in range(UPLOADS_A_DAY + 1)]
    for begin, end in pairwise(bounds):
        yield items[begin:end]

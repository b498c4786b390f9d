"""A bad road to the platform: every request goes there twice or more often, and a tenth of the replies never come back.

The caller hears the last reply. What it says twice it says with the same `Idempotency-Key`, as http-api.md asks of it.
Some of what a customer's server said comes once more hours later, when it may mean something else: it must not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.model.api import Connection, Reply, random_uuid

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 - seeded by whoever makes it

REPLIES_LOST, COMES_LATE = 0.1, 0.5
KEPT_MS = 24 * 3_600_000
WITHOUT_KEY = {"/sdk/payloads", "/security/leaked-tokens", "/lab/settle"}
NOT_KEPT = {401, 403, 429}
FRESH = {"ref", "install_credential", "user_token", "authentication_code", "expires_at", "link_ticket"}


@dataclass(frozen=True)
class Said:
    """A call whose answer is kept, and that answer."""

    path: str
    body: bytes | None
    headers: dict[str, str]
    reply: Reply

    @property
    def at(self) -> int:
        return int(self.headers["Lab-Time"])


@dataclass
class Repeating:
    """Stands where a `Connection` does.

    Args:
        inner: the good road.
        random: decides which replies are lost.
        calls: by method and path, how often the caller asked.
        sent: how many requests that came to.
        lost: how many replies were lost.
        late: how many calls came once more, later.
    """

    inner: Connection
    random: Random
    calls: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    lost: int = 0
    late: int = 0
    said: list[Said] = field(default_factory=list)

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Send it at least twice, and again until the last reply is heard."""
        self.calls[f"{method} {path.partition('?')[0]}"] += 1
        headers = self._with_key(method, path, dict(headers or {}))
        heard = fates(self.random)
        replies = [self.inner.call(method, path, body, headers) for _ in heard]
        self.sent += len(heard)
        self.lost += heard.count(False)
        if method == "POST" and "dry_run=true" not in path:  # a try is tried anew each time
            assert_one_answer(replies)
            if path.startswith(("/v2", "/v3")) and is_kept(replies[0].status):
                self.said.append(Said(path, body, headers, replies[-1]))
        if method == "DELETE" and path.startswith("/users/"):
            self.said = []  # no answer is kept that tells of an erased person
        self._come_late(int(headers["Lab-Time"]))
        return replies[-1]

    def _come_late(self, now_ms: int) -> None:
        """What was said before comes again, and gets its first answer, whatever happened since."""
        self.said = [one for one in self.said if now_ms - one.at < KEPT_MS]
        if not self.said or self.random.random() >= COMES_LATE:
            return
        one = self.random.choice(self.said)
        reply = self.inner.call("POST", one.path, one.body, one.headers | {"Lab-Time": str(now_ms)})
        self.late += 1
        assert (reply.status, without_fresh(reply)) == (one.reply.status, without_fresh(one.reply)), (one.reply, reply)

    def _with_key(self, method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
        if method == "POST" and path not in WITHOUT_KEY and "Idempotency-Key" not in headers:
            headers["Idempotency-Key"] = random_uuid(self.sent, path, self.random.random())
        return headers


def fates(random: Random) -> list[bool]:
    """Whether each reply to a call is heard: there are two or more, and the last one is."""
    heard = [random.random() >= REPLIES_LOST]
    while len(heard) < 2 or not heard[-1]:
        heard.append(random.random() >= REPLIES_LOST)
    return heard


def is_kept(status: int) -> bool:
    """Whether the platform keeps such a reply, to give it again (http-api.md)."""
    return status not in NOT_KEPT and status < 500


def assert_one_answer(replies: list[Reply]) -> None:
    """Said again, a call is answered as it was; secrets alone are fresh, and what is not kept is decided anew."""
    for first, again in pairwise(replies):
        assert again.status == first.status, (first, again)
        if is_kept(first.status):
            assert without_fresh(again) == without_fresh(first), (first, again)


def without_fresh(reply: Reply) -> Any:
    told = reply.json
    return {name: value for name, value in told.items() if name not in FRESH} if isinstance(told, dict) else told

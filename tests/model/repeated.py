"""A bad road to the platform: every request goes there twice or more often, and a tenth of the replies never come back.

The caller hears the last reply. What it says twice it says with the same `Idempotency-Key`, as http-api.md asks of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.model.api import Connection, Reply, random_uuid

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 - seeded by whoever makes it

REPLIES_LOST = 0.1
WITHOUT_KEY = {"/sdk/payloads", "/security/leaked-tokens", "/lab/settle"}
NOT_KEPT = {401, 403, 429}
FRESH = {"ref", "install_credential", "user_token", "authentication_code", "expires_at", "link_ticket"}


@dataclass
class Repeating:
    """Stands where a `Connection` does.

    Args:
        inner: the good road.
        random: decides which replies are lost.
        calls: by method and path, how often the caller asked.
        sent: how many requests that came to.
        lost: how many replies were lost.
    """

    inner: Connection
    random: Random
    calls: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    lost: int = 0

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Send it at least twice, and again until the last reply is heard."""
        self.calls[f"{method} {path.partition('?')[0]}"] += 1
        headers = self._with_key(method, path, dict(headers or {}))
        replies: list[Reply] = []
        is_heard = False
        while len(replies) < 2 or not is_heard:
            replies.append(self.inner.call(method, path, body, headers))
            self.sent += 1
            is_heard = self.random.random() >= REPLIES_LOST
            self.lost += not is_heard
        if method == "POST" and "dry_run=true" not in path:  # a try is tried anew each time
            assert_one_answer(replies)
        return replies[-1]

    def _with_key(self, method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
        if method == "POST" and path not in WITHOUT_KEY and "Idempotency-Key" not in headers:
            headers["Idempotency-Key"] = random_uuid(self.sent, path, self.random.random())
        return headers


def assert_one_answer(replies: list[Reply]) -> None:
    """Said again, a call is answered as it was; secrets alone are fresh, and what is not kept is decided anew."""
    first = replies[0]
    for again in replies[1:]:
        assert again.status == first.status, (first, again)
        if first.status not in NOT_KEPT:
            assert without_fresh(again) == without_fresh(first), (first, again)


def without_fresh(reply: Reply) -> Any:
    told = reply.json
    return {name: value for name, value in told.items() if name not in FRESH} if isinstance(told, dict) else told

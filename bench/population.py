"""People who are there already: rows of the database, as many as wanted, written in bulk.

One person registers, is linked and uploads for real; all others are copies of every row that this left, with ids of
their own. The n-th has the same ids in every run and on every engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench import calls, rows
from unbroken import wire
from unbroken.domain.ids import InstallId, UserId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.subject import Platform

DAY_MS: Final = 86_400_000
AGE_MS: Final = 4 * DAY_MS
"""How long ago they registered."""

_SOME: Final = 10_000
_DIGEST_BYTES: Final = 32
_TIMED_DIGEST_BYTES: Final = 38
_HOUR_MS: Final = 3_600_000
_ACCOUNT: Final = "the first"
_ANSWERS: Final = "idempotency"
"""Kept for a day only; of no matter to those who registered days ago."""

_NOT_READ: Final = {"carriers", "facts"}
"""Where each has another sealed id, which nothing opens; elsewhere they all have that of the first, which is read."""

_INSTALL: Final = rows.id_of("install")
_USER: Final = rows.id_of("user")


def install_id(number: int) -> InstallId:
    """The id of the n-th install."""
    return InstallId(_INSTALL.python(number))


def user_id(number: int) -> UserId:
    """The id of the user of the n-th install."""
    return UserId(_USER.python(number))


class Population:
    """The people of one platform, which must not run while people are added."""

    def __init__(self, platform: Platform, now_ms: int) -> None:
        self.app_id, self.app_secret, self.api_key = platform.app_id, platform.app_secret, platform.api_key
        self._platform = platform
        self._rows = platform.rows
        self._now_ms = now_ms
        self._first = _FirstPerson(platform, now_ms)
        self._templates: list[rows.Template] = []
        self.size = 0

    @property
    def registered_at(self) -> int:
        """When they registered."""
        return self._now_ms - AGE_MS

    def grow(self, size: int) -> None:
        """Add people until there are so many, and forget what waits to be processed: each size starts alike."""
        self._templates = self._templates or self._first.templates(self._rows)  # before others have such rows
        self._rows.fill(self._templates, self.size, size)
        self.size = size

    def send(self, requests: Sequence[bytes], status: int) -> list[bytes]:
        """See `Platform.send`."""
        return self._platform.send(requests, status)

    def tokens(self) -> list[str]:
        """User tokens of some, evenly spread over all."""
        return [self._platform.user_token(install_id(number), self._now_ms) for number in self._some()]

    def user_ids(self) -> list[str]:
        """The users of the same."""
        return [user_id(number).hex() for number in self._some()]

    def _some(self) -> range:
        return range(0, self.size, max(1, self.size // _SOME))


class _FirstPerson:
    """Registers, is linked to an account and uploads; the platform must not run yet."""

    def __init__(self, platform: Platform, now_ms: int) -> None:
        self._now_ms = now_ms
        with platform.running():
            (reply,) = platform.send([*calls.registrations(platform.app_id, platform.app_secret, 1, now_ms)], 201)
            self._registered = wire.decode(reply, wire.Registered)
            link = calls.link(platform.api_key, self._registered.install_id, _ACCOUNT, now_ms)
            (reply,) = platform.send([link], 200)
            self._link_id = wire.decode(reply, wire.Linked).link_id
            # captured before the install was there, so that no time is hidden in what was computed of it
            upload = calls.upload(self._registered.user_token.token, calls.walk(now_ms - _HOUR_MS), now_ms)
            platform.send([upload], 202)
            platform.settle()

    def templates(self, stored: rows.Rows) -> list[rows.Template]:
        """Every row that tells of this person."""
        return [
            rows.Template(table, names, values, self._made(table, values))
            for table, names, values in stored.mentioning(list(self._ids()))
            if table != _ANSWERS
        ]

    def _ids(self) -> dict[bytes | str, rows.Made]:
        """What names this person, and what it is for the n-th."""
        return {
            bytes.fromhex(self._registered.install_id): _INSTALL,
            bytes.fromhex(self._registered.user_id): _USER,
            bytes.fromhex(self._link_id): rows.id_of("link"),
        }

    def _made(self, table: str, values: Sequence[Any]) -> dict[int, rows.Made]:
        made = {column: self._differing(table, value) for column, value in enumerate(values)}
        return {column: one for column, one in made.items() if one is not None}

    def _differing(self, table: str, value: Any) -> rows.Made | None:
        match value:
            case bytes() | str() if value in self._ids():
                return self._ids()[value]
            case bytes() if len(value) == _DIGEST_BYTES:  # of a secret: another one for each
                return rows.digest("secret")
            case bytes() if len(value) == _TIMED_DIGEST_BYTES:
                return rows.digest_in_order("key")
            case str() if value.startswith("s1.") and table in _NOT_READ:
                return rows.sealed(len(value))
            case int() if abs(value - self._now_ms) < 2 * _HOUR_MS:
                return rows.always(value - AGE_MS)
        return None

"""The platform as a customer's server sees it: `Platform` blocks, `AsyncPlatform` awaits; they differ in nothing else.

Every call can raise `PlatformError` (one class per refusal, `errors.py`), `PlatformUnreachable` and
`ReplyNotUnderstood`. Lists are iterators that fetch as they go, so theirs are raised while iterating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from unbroken.backend import calls, timeline_calls
from unbroken.backend.connection import ApiKey, AsyncConnection, Connection, Options
from unbroken.backend.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import date

    from unbroken.backend.results import (
        AuthCode,
        Event,
        Explanation,
        Fact,
        Install,
        Item,
        Link,
        Receipt,
        Trajectory,
        User,
        Waypoint,
    )
    from unbroken.wire import Attested


class Platform:
    """The platform, for code that blocks. One object serves the whole process; threads may share it.

    Args:
        base_url: the platform; `http://` is accepted for loopback only.
        api_key: with the scopes that the calls need; never in an app, never in the code.
        options: timeouts, retries, TLS.

    Raises:
        InvalidConfig: the URL or the key cannot be right.
    """

    def __init__(self, base_url: str, *, api_key: str, options: Options | None = None) -> None:
        key = ApiKey(api_key)
        del api_key  # a traceback with local variables must not show it
        self.base_url = base_url
        self._connection = Connection(base_url, key, options or Options())
        self.users = Users(self._connection)

    @property
    def options(self) -> Options:
        """What it was set up with."""
        return self._connection.options

    def derive(self, purpose: bytes) -> bytes:
        """A key of 32 bytes that every process with this API key has in common, for one purpose of this server's."""
        return self._connection.derive(purpose)

    def link(
        self,
        install_id: str,
        *,
        external_id: str,
        link_ticket: str | None = None,
        attestation: Attested | None = None,
        dry_run: bool = False,
    ) -> Link:
        """Link an install to an account (linking.md, the table). Repeating it adds nothing.

        Args:
            install_id: as the app's SDK named it to the linker.
            external_id: the account of whoever is signed in, from this server's own session and nowhere else.
            link_ticket: as the SDK gave it: the platform's proof that this very install asks.
            attestation: what the device proved; its challenge and its proof are taken once.
            dry_run: answer as if, write nothing.
        """
        key = self._connection.options.new_id()
        call = calls.link(install_id, external_id, link_ticket, attestation, dry_run=dry_run, key=key)
        return self._connection.do(call)

    def find_link(self, install_id: str, *, external_id: str) -> Link | None:
        """The link of this install to this account, if it is there already; links nothing.

        Raises:
            PlatformError: as `link`, where another link would be refused.
        """
        call = calls.find_link(install_id, external_id, key=self._connection.options.new_id())
        try:
            return _there(self._connection.do(call))
        except NotFound:
            return None

    def create_auth_code(self, external_id: str) -> AuthCode:
        """A code with which an app registers or links once, within minutes, as this account."""
        return self._connection.do(calls.create_auth_code(external_id, key=self._connection.options.new_id()))

    def explain(self, install_id: str, at_ms: int | None = None) -> Explanation:
        """Why an install is, or was at `at_ms` (default now), active, standby, superseded or not linked."""
        return self._connection.do(calls.explain(install_id, at_ms))

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Users:
    """Reading and erasing people. A user id that redirects stands for the current user."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, user_id: str) -> User:
        """The profile."""
        return self._connection.do(calls.user(user_id))

    def by_external_id(self, external_id: str) -> User | None:
        """The user that carries this external id, or None."""
        try:
            return self._connection.do(calls.user_by_external_id(external_id))
        except NotFound:
            return None

    def timeline(
        self, user_id: str, first: date | None = None, last: date | None = None, *, all_types: bool = False
    ) -> Iterator[Event]:
        """The events that touch the days from `first` to `last`, both included, newest first; all if left out.

        Days are those of the time zone of the active install. `all_types` adds OffTheGrid and Unknown to Stationary
        and Transport.
        """
        return self._connection.pages(
            lambda cursor: timeline_calls.timeline(user_id, first, last, all_types=all_types, cursor=cursor)
        )

    def event(self, user_id: str, event_id: str) -> Event:
        """One event."""
        return self._connection.do(timeline_calls.event(user_id, event_id))

    def trajectory(self, user_id: str, event_id: str) -> Trajectory:
        """The way of one Transport."""
        return self._connection.do(timeline_calls.trajectory(user_id, event_id))

    def location(self, user_id: str) -> Waypoint:
        """Where the user was last."""
        return self._connection.do(timeline_calls.location(user_id))

    def items(self, user_id: str, from_ms: int | None = None, to_ms: int | None = None) -> Iterator[Item]:
        """What became of every item captured in `[from_ms, to_ms)` by an install of this user; open if left out."""
        return self._connection.pages(lambda cursor: calls.items(user_id, from_ms, to_ms, cursor))

    def ledger(self, user_id: str) -> Iterator[Fact]:
        """Every identity fact about this user, oldest first."""
        return self._connection.pages(lambda cursor: calls.ledger(user_id, cursor))

    def installs(self, user_id: str) -> Iterator[Install]:
        """Every install of this user, with its state, the reason, and when it was the active one."""
        return self._connection.pages(lambda cursor: calls.installs(user_id, cursor))

    def delete(self, user_id: str, *, dry_run: bool = False) -> Receipt:
        """Erase a person, everywhere and for good (linking.md, erasure). Repeating it gives the same receipt."""
        return self._connection.do(calls.delete_user(user_id, dry_run=dry_run))


class AsyncPlatform:
    """The same on asyncio. Arguments as of `Platform`."""

    def __init__(self, base_url: str, *, api_key: str, options: Options | None = None) -> None:
        key = ApiKey(api_key)
        del api_key  # a traceback with local variables must not show it
        self.base_url = base_url
        self._connection = AsyncConnection(base_url, key, options or Options())
        self.users = AsyncUsers(self._connection)

    @property
    def options(self) -> Options:
        """What it was set up with."""
        return self._connection.options

    def derive(self, purpose: bytes) -> bytes:
        """See `Platform.derive`."""
        return self._connection.derive(purpose)

    async def link(
        self,
        install_id: str,
        *,
        external_id: str,
        link_ticket: str | None = None,
        attestation: Attested | None = None,
        dry_run: bool = False,
    ) -> Link:
        """See `Platform.link`."""
        key = self._connection.options.new_id()
        call = calls.link(install_id, external_id, link_ticket, attestation, dry_run=dry_run, key=key)
        return await self._connection.do(call)

    async def find_link(self, install_id: str, *, external_id: str) -> Link | None:
        """See `Platform.find_link`."""
        call = calls.find_link(install_id, external_id, key=self._connection.options.new_id())
        try:
            return _there(await self._connection.do(call))
        except NotFound:
            return None

    async def create_auth_code(self, external_id: str) -> AuthCode:
        """See `Platform.create_auth_code`."""
        return await self._connection.do(calls.create_auth_code(external_id, key=self._connection.options.new_id()))

    async def explain(self, install_id: str, at_ms: int | None = None) -> Explanation:
        """See `Platform.explain`."""
        return await self._connection.do(calls.explain(install_id, at_ms))

    async def close(self) -> None:
        """See `Platform.close`."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncUsers:
    """See `Users`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, user_id: str) -> User:
        """See `Users.get`."""
        return await self._connection.do(calls.user(user_id))

    async def by_external_id(self, external_id: str) -> User | None:
        """See `Users.by_external_id`."""
        try:
            return await self._connection.do(calls.user_by_external_id(external_id))
        except NotFound:
            return None

    def timeline(
        self, user_id: str, first: date | None = None, last: date | None = None, *, all_types: bool = False
    ) -> AsyncIterator[Event]:
        """See `Users.timeline`."""
        return self._connection.pages(
            lambda cursor: timeline_calls.timeline(user_id, first, last, all_types=all_types, cursor=cursor)
        )

    async def event(self, user_id: str, event_id: str) -> Event:
        """See `Users.event`."""
        return await self._connection.do(timeline_calls.event(user_id, event_id))

    async def trajectory(self, user_id: str, event_id: str) -> Trajectory:
        """See `Users.trajectory`."""
        return await self._connection.do(timeline_calls.trajectory(user_id, event_id))

    async def location(self, user_id: str) -> Waypoint:
        """See `Users.location`."""
        return await self._connection.do(timeline_calls.location(user_id))

    def items(self, user_id: str, from_ms: int | None = None, to_ms: int | None = None) -> AsyncIterator[Item]:
        """See `Users.items`."""
        return self._connection.pages(lambda cursor: calls.items(user_id, from_ms, to_ms, cursor))

    def ledger(self, user_id: str) -> AsyncIterator[Fact]:
        """See `Users.ledger`."""
        return self._connection.pages(lambda cursor: calls.ledger(user_id, cursor))

    def installs(self, user_id: str) -> AsyncIterator[Install]:
        """See `Users.installs`."""
        return self._connection.pages(lambda cursor: calls.installs(user_id, cursor))

    async def delete(self, user_id: str, *, dry_run: bool = False) -> Receipt:
        """See `Users.delete`."""
        return await self._connection.do(calls.delete_user(user_id, dry_run=dry_run))


def _there(told: Link) -> Link | None:
    """What a platform says to be a repeat: an older one answers with a link that it tried."""
    return told if told.is_repeat else None

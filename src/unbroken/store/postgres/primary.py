"""Which server is the primary, where a URL names several or one address leads to several in turn.

Every promotion begins a new timeline, PostgreSQL's word for a number that only grows. So of two servers that take
writes, the one on the older timeline was the primary and does not know yet that another is. It is not spoken to: what
it shows is old, and what it takes is lost (docs/decisions/0019).
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    Connect = Callable[[str], Awaitable[Any]]

_LOOK_EVERY_S: Final = 1.0
_ANSWER_S: Final = 1.0
"""How long a server that is connected to may take to say what it is."""
_GRACE_S: Final = 0.5
"""How long the other servers may take to answer when one was found: it may be the one that is none any more."""

_ERA: Final = """
    SELECT (SELECT system_identifier::text FROM pg_control_system()),
        ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"""


class NoPrimary(ConnectionError):
    """A server is a standby, or not the primary any more."""


@dataclass(frozen=True, slots=True)
class Era:
    """On which cluster's data, since which promotion; of a server that does not tell, "" and 0."""

    cluster: str
    timeline: int


class Primary:
    """Sessions with whichever server is the primary of one database. May be used in several threads.

    Args:
        urls: one of each server, or one alone.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = urls
        self._newest: Era | None = None
        self._sessions: WeakKeyDictionary[Any, tuple[Era, asyncio.AbstractEventLoop]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    async def session(self, connect: Connect) -> Any:
        """A session with the server that is no standby; of several, with that of the newest timeline.

        Args:
            connect: opens a session with the server of one URL.

        Raises:
            NoPrimary: there is none, or another was there already.
            Exception: as asyncpg, the system or a server says it.
        """
        found = await _visit_all(self.urls, connect)
        connection, era = max(found, key=lambda one: one[1].timeline)
        try:
            self._admit(connection, era, [other for _, other in found])
        except NoPrimary:
            connection.terminate()
            raise
        finally:
            for other, _ in found:
                if other is not connection:
                    other.terminate()
        return connection

    async def keep_watch(self, connect: Connect) -> None:
        """Until it is cancelled: notice when another server was promoted, and end the sessions with the former one."""
        await asyncio.gather(*[self._watch(_Sentry(url), connect) for url in self.urls])

    async def _watch(self, sentry: _Sentry, connect: Connect) -> None:
        try:
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                era = await sentry.look(connect)
                if era is not None:
                    self._learn(era)
        finally:
            sentry.end()

    def _admit(self, connection: Any, era: Era, found: Iterable[Era]) -> None:
        if len({one.cluster for one in found}) > 1:
            raise NoPrimary("The servers of the URL do not have the same data: one is no copy of the other")
        self._learn(era)
        with self._lock:
            assert self._newest is not None
            if era.cluster != self._newest.cluster:
                raise NoPrimary("It is not the server that it was, nor a copy of it. Start this process again")
            if era.timeline < self._newest.timeline:
                raise NoPrimary("It was the primary once, and another server was promoted since")
            self._sessions[connection] = era, asyncio.get_running_loop()

    def _learn(self, era: Era) -> None:
        with self._lock:
            if self._newest is not None and (
                era.cluster != self._newest.cluster or era.timeline <= self._newest.timeline
            ):
                return
            self._newest = era
            for connection, (of, loop) in list(self._sessions.items()):
                if of.timeline < era.timeline:
                    with suppress(RuntimeError):  # its loop is closed, and it with it
                        loop.call_soon_threadsafe(connection.terminate)


class _Sentry:
    """A session that is kept with one server, whatever it is, and asked whether it is a primary."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    async def look(self, connect: Connect) -> Era | None:
        """Since when it is the primary; None of one that is not, or cannot be reached."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(self._url)  # may take longer than an answer
            async with asyncio.timeout(_ANSWER_S):
                return await _era_of(self._connection)
        except NoPrimary:
            return None
        except Exception:  # noqa: BLE001 - whatever it is, it is asked again in a moment
            self.end()
            return None

    def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def takes_writes(connection: Any) -> bool:
    """What the server last said of itself: it tells every session, with its next answer, when it is set to read only.

    By that a former primary is fenced where it cannot be stopped, and some providers do it when a disk is full. What
    such a server shows is not old for that reason alone, so it may be read.
    """
    settings = connection.get_settings()
    return "on" not in {getattr(settings, name, "off") for name in ("in_hot_standby", "default_transaction_read_only")}


async def _era_of(connection: Any) -> Era:
    """Ask a server.

    Raises:
        NoPrimary: it is a standby.
    """
    try:
        cluster, timeline = await connection.fetchrow(_ERA)
    except asyncpg.ObjectNotInPrerequisiteStateError:
        raise NoPrimary("It is a standby, which only reads") from None
    except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFunctionError):
        cluster, timeline = "", 0  # a provider's own kind of PostgreSQL, which keeps this to itself
    return Era(cluster, timeline)


async def _visit(url: str, connect: Connect) -> tuple[Any, Era]:
    connection = await connect(url)
    try:
        return connection, await _era_of(connection)
    except BaseException:
        connection.terminate()
        raise


async def _visit_all(urls: Sequence[str], connect: Connect) -> list[tuple[Any, Era]]:
    """Those that are no standbys, at least one."""
    if len(urls) == 1:
        return [await _visit(urls[0], connect)]
    visits = [asyncio.create_task(_visit(url, connect)) for url in urls]
    try:
        await _until_found(visits)
    except BaseException:
        await _call_off(visits)
        for visit in visits:
            if _has_found(visit):
                visit.result()[0].terminate()
        raise
    await _call_off(visits)
    if found := [visit.result() for visit in visits if _has_found(visit)]:
        return found
    raise _most_telling([error for visit in visits if (error := visit.exception()) is not None])


async def _until_found(visits: Sequence[asyncio.Task[Any]]) -> None:
    """Until one has found a primary and the others had a moment more, or all have failed."""
    waiting = set(visits)
    while waiting and not any(map(_has_found, visits)):
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if waiting:
        await asyncio.wait(waiting, timeout=_GRACE_S)


async def _call_off(visits: Sequence[asyncio.Task[Any]]) -> None:
    late = [visit for visit in visits if visit.cancel()]
    if late:
        await asyncio.wait(late)


def _has_found(visit: asyncio.Task[Any]) -> bool:
    return visit.done() and not visit.cancelled() and visit.exception() is None


def _most_telling(errors: Sequence[BaseException]) -> BaseException:
    """What a server said goes before that it is a standby, and that before that it cannot be reached."""
    for kind in (asyncpg.PostgresError, NoPrimary):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]

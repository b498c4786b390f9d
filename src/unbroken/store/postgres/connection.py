"""How a connection is made: from which URL, with which settings of the session."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import asyncpg

from unbroken.store.contract import StoreRefused
from unbroken.store.postgres.primary import Primary

UNREADABLE: Final = (
    "The URL of the database cannot be read. In its account and password write % / ? # @ : and the like as %25 %2F %3F"
    " %23 %40 %3A."
)
_AUTHORITY: Final = re.compile(r"[^/?#]*@[^/?#@]*([/?#][^@]*)?$")
"""An account, a host and what follows, with no @ behind the host."""

SCHEMES: Final = ("postgresql", "postgres")
_STATEMENTS_KEPT: Final = 1024
_SILENCE_S: Final = 8
_SOCKET_S: Final = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": _SILENCE_S}
_SLACK_S: Final = 5.0
"""How much longer than the server we wait for an answer: then nobody is there any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds.

    Args:
        connect_s: to reach the server.
        statement_s: one statement.
        long_statement_s: one statement of a long read, or of a migration.
        lock_s: to wait for another process that writes. Longer than `idle_s`, so that one that was stopped in the
            middle of a write is waited out.
        idle_s: the time between two statements of a transaction, after which the server ends it.
        turn_s: how long a call waits for its turn to write; then it is told so, and not run. Longer than `idle_s` for
            the same reason, and with `commit_s` shorter than what an SDK waits for a reply (30 s).
        commit_s: to make a transaction durable, on the synchronous standbys too.
        long_commit_s: the same of a migration or a move, whose changes may be many.
        poll_s: after which whoever waits for something to do looks by itself.
    """

    connect_s: float = 5.0
    statement_s: float = 30.0
    long_statement_s: float = 600.0
    lock_s: float = 15.0
    idle_s: float = 10.0
    turn_s: float = 12.0
    commit_s: float = 6.0
    long_commit_s: float = 600.0
    poll_s: float = 1.0


class Url:
    """A database by its URL, which is kept out of sight: it may hold a password.

    Of several servers with a comma between them (HOST:PORT,HOST:PORT) the primary is connected to, whichever it is.

    Raises:
        StoreRefused: it is no URL of PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES:
            raise StoreRefused("The database is named by a URL: postgresql://ACCOUNT:PASSWORD@HOST:PORT/DATABASE.")
        if "@" in rest and not _AUTHORITY.match(rest):
            raise StoreRefused(UNREADABLE)  # what looks like its host is a part of its password
        parts = _split(url)
        self._primary = Primary(_of_each_server(url, parts.netloc))
        self.place = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        return f"Url({self.place!r})"

    async def connect(self, limits: Limits, *, is_long: bool = False, **settings: str) -> Any:
        """A connection of asyncpg with the primary; its transactions begin and end by statements.

        Args:
            is_long: the longer limit holds for each statement.
            settings: of the session, beside those that every one has.

        Raises:
            Exception: as asyncpg, the system or the server say it; see `trouble`.
        """
        statement_s = limits.long_statement_s if is_long else limits.statement_s
        session = _session(limits, statement_s) | settings
        return await self._primary.session(lambda url: self._session_with(url, limits, statement_s, session))

    async def keep_watch(self, limits: Limits) -> None:
        """Until it is cancelled: see `Primary.keep_watch`. Does nothing where there is one server only."""
        if self._is_one:
            return
        session = _session(limits, limits.statement_s) | {"application_name": "unbroken watch"}
        await self._primary.keep_watch(lambda url: self._session_with(url, limits, limits.statement_s, session))

    @property
    def _is_one(self) -> bool:
        return len(self._primary.urls) == 1

    async def _session_with(self, url: str, limits: Limits, statement_s: float, session: dict[str, str]) -> Any:
        connection = await asyncpg.connect(
            url,
            timeout=limits.connect_s,
            command_timeout=statement_s + _SLACK_S,
            statement_cache_size=_STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
            server_settings=session,
            target_session_attrs=None if self._is_one else "any",  # which of them it is, is judged here
        )
        _notice_silence(connection)
        return connection


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # a bracket that is not closed
        raise StoreRefused(UNREADABLE) from None


def _of_each_server(url: str, authority: str) -> list[str]:
    """The URL as it is for each of the servers that it names."""
    account, at, hosts = authority.rpartition("@")
    return [url.replace(authority, f"{account}{at}{host}", 1) for host in hosts.split(",")]


def _notice_silence(connection: Any) -> None:
    """End the connection when the server's host has said nothing for `_SILENCE_S`, not even that it has heard us.

    A server that is busy or stopped is heard: its kernel answers. One whose host or way is gone would be waited for as
    long as the statement may take, and by every connection that there is. asyncpg offers no such setting.
    """
    opened: socket.socket = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if opened.family == socket.AF_UNIX:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _SOCKET_S.items():
        if hasattr(socket, name):
            unit = 1000 if name == "TCP_USER_TIMEOUT" else 1
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds * unit)


def _session(limits: Limits, statement_s: float) -> dict[str, str]:
    return {
        "application_name": "unbroken",
        "client_encoding": "UTF8",
        "timezone": "UTC",
        "client_min_messages": "warning",  # a warning at the COMMIT says that it is not durable everywhere
        "jit": "off",  # it compiles for longer than our statements run
        "statement_timeout": _ms(statement_s),
        "lock_timeout": _ms(limits.lock_s),
        "idle_in_transaction_session_timeout": _ms(limits.idle_s),
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))

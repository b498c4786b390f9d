"""What PostgreSQL's errors mean to the one who operates it."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from unbroken.store.contract import ConstraintViolation, StoreRefused, StoreUnavailable, UniqueViolation
from unbroken.store.postgres.connection import UNREADABLE

_UNIQUE: Final = "23505"
READ_ONLY: Final = "25006"
"""A statement that writes, in a transaction that only reads."""

_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03"})
_WAITED: Final = "55P03"
_ENDED: Final = frozenset({"25P03", "25P04", "57P01", "57P02", "57P03", "57P05"})
_CACHE: Final = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of an error; "" where it is none of PostgreSQL's."""
    return (getattr(error, "sqlstate", None) or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_conflict(error: BaseException) -> bool:
    """Whether others stood in the way (deadlock, lock not had in time): running the transaction again may succeed."""
    return sqlstate(error) in _CONFLICTS


def may_pass(error: BaseException) -> bool:
    """Whether the same transaction may succeed at once: not where it has waited for long already."""
    return is_lost(error) or (is_conflict(error) and sqlstate(error) != _WAITED)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no more use: cut, ended by the server, silent, or from before a migration."""
    if isinstance(error, asyncpg.PostgresError):
        return sqlstate(error)[:2] == "08" or sqlstate(error) in _ENDED or isinstance(error, _CACHE)
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # one that is a ValueError is about a value
    return isinstance(error, OSError | asyncio.TimeoutError | asyncpg.InternalClientError)


def trouble(error: Exception) -> Exception:
    """The contract's name for an error met in a call; a mistake in the statement stays PostgreSQL's own error."""
    code = sqlstate(error)
    if code[:2] == "23":
        kind = UniqueViolation if code == _UNIQUE else ConstraintViolation
        return kind(str(error), getattr(error, "table_name", None) or "")
    if is_lost(error):
        return StoreUnavailable(f"The connection to the database was lost ({_said(error)}). {_UNREACHABLE}")
    advice = _ADVICE.get(code) or _ADVICE.get(code[:2])
    return error if advice is None else StoreUnavailable(f"The database cannot do this now ({_said(error)}). {advice}")


def refusal(error: BaseException, place: str) -> StoreRefused:
    """What stands in the way of opening the database at `place`, which is a URL without its secrets."""
    code = sqlstate(error)
    if isinstance(error, ValueError):  # its words may quote a piece of the password
        return StoreRefused(UNREADABLE)
    advice = _WHEN_OPENING.get(code) or _ADVICE.get(code) or _ADVICE.get(code[:2])
    if advice is None:
        advice = _UNREACHABLE if is_lost(error) else "Look at the server's log, or name another database."
    return StoreRefused(f"{place} cannot be opened ({_said(error)}). {advice}")


def _said(error: BaseException) -> str:
    """The first line, as the others repeat the statement; an error without words by its name."""
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__


_UNREACHABLE: Final = "See whether the server runs and can be reached at this address; it is tried again."
_LOCKED: Final = "Another process holds what this one needs. Wait for it or end it, then try again."
_DAMAGED: Final = "The database is damaged. Keep it aside and restore a backup."
_ADVICE: Final = {
    "25006": "The server only reads, as a standby does. Name the primary, or wait until it is one.",
    "40": _LOCKED,
    "42501": "Make the account of the URL the owner of the tables.",
    "53": "The server has too little of something. Look at its log.",
    "53100": "The disk is full. Free some space; until then nothing is stored.",
    "53200": "There is not enough memory.",
    "53300": "Too many connections. Raise max_connections, or run fewer processes.",
    "55P03": _LOCKED,
    "57014": "It took too long and was broken off. Try again; look for what keeps the server busy.",
    "58": "The server's disk failed. Look at its log.",
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
_WHEN_OPENING: Final = {
    "28000": "Allow this account in the server's pg_hba.conf, or name another one.",
    "28P01": "Look at the password in the URL.",
    "3D000": "Create the database first: createdb --encoding=UTF8 NAME.",
    "42501": "Give the account of the URL the right to create tables: GRANT CREATE ON SCHEMA public TO NAME.",
}

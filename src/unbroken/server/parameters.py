"""Query parameters and header fields of a call: strict, each with the name of what is wrong."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from unbroken import wire
from unbroken.domain.errors import InvalidRequest
from unbroken.server.route import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.server.route import Route

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INTEGER: Final = re.compile(r"\d{1,9}", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}
_TEXT_MAX_CHARACTERS: Final = 1_000
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_DRY_RUN: Final = Query("dry_run", "flag", required=False, summary="Answer as if, and change nothing.")
_HOST: Final = re.compile(rb"([A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])?(:[0-9]{0,5})?")
_HOST_MAX_BYTES: Final = 300
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(route: Route, query_string: bytes) -> dict[str, Any]:
    """What the row's parameters say; unknown ones are ignored.

    Raises:
        InvalidRequest: a value of a wrong form, a parameter given twice, one that is missing, or a dry run asked of a
            call that has none (to ignore that would change what the caller only wanted to look at).
    """
    given = _split(query_string) if query_string else {}
    if not route.has_dry_run and route.method != "GET" and "dry_run" in given:
        raise _invalid("dry_run", "is not taken by this call")
    parsed: dict[str, Any] = {"dry_run": False} if route.has_dry_run else {}
    for query in rows(route):
        if query.name in given:
            parsed[query.name] = _parse(query, given[query.name])
        elif query.required:
            raise _invalid(query.name, "is missing")
    return parsed


def rows(route: Route) -> tuple[Query, ...]:
    """The query parameters of a call, the dry run with them."""
    return (*route.query, _DRY_RUN) if route.has_dry_run else route.query


def _split(query_string: bytes) -> Mapping[str, str]:
    given: dict[str, str] = {}
    for pair in query_string.split(b"&"):
        if pair:
            said, _, value = pair.partition(b"=")
            name = _unquote(said, "")
            if name in given:
                raise _invalid(name[:100], "is there twice")
            given[name] = _unquote(value, name)
    return given


def _unquote(text: bytes, name: str) -> str:
    try:
        plain = text.decode("ascii").replace("+", " ")
        if "%" not in plain:
            return plain
        if _BAD_ESCAPE.search(plain):
            raise _invalid(name, "has a % that escapes nothing")
        return unquote_to_bytes(plain).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(name, "is not UTF-8") from error


def _parse(query: Query, text: str) -> Any:
    match query.type:
        case "day":
            return _day(query, text)
        case "instant":
            return _instant(query, text)
        case "integer":
            return _integer(query, text)
        case "flag":
            return _flag(query, text)
        case "text":
            return _text(query, text)


def _day(query: Query, text: str) -> date:
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise _invalid(query.name, "must be a day as YYYY-MM-DD")


def _instant(query: Query, text: str) -> int:
    # A plus sign that was not escaped arrives as a space: `2026-11-23T21:12:54+00:00` is what everybody sends.
    at_ms = wire.parse_iso(text.replace(" ", "+")) if text.isascii() else None
    if at_ms is None:
        raise _invalid(query.name, "must be an ISO 8601 time with offset, between 1970 and 9999")
    return at_ms


def _integer(query: Query, text: str) -> int:
    if not _INTEGER.fullmatch(text) or not query.minimum <= int(text) <= query.maximum:
        raise _invalid(query.name, f"must be a whole number from {query.minimum} to {query.maximum}")
    return int(text)


def _flag(query: Query, text: str) -> bool:
    if text not in _FLAGS:
        raise _invalid(query.name, "must be true or false")
    return _FLAGS[text]


def _text(query: Query, text: str) -> str:
    if query.choices and text not in query.choices:
        raise _invalid(query.name, f"must be one of {', '.join(query.choices)}")
    if len(text) > _TEXT_MAX_CHARACTERS:
        raise _invalid(query.name, f"must be at most {_TEXT_MAX_CHARACTERS} characters long")
    return text


def check_host(host: bytes | None, http_version: str) -> None:
    """Refuse what RFC 9112, 3.2 forbids and the parser lets pass: the next one in line may take it for another host.

    Raises:
        InvalidRequest: there is none, or it is no name, address and port.
    """
    if host is None:
        if http_version == "1.1":
            raise _invalid("Host", "is missing")
    elif len(host) > _HOST_MAX_BYTES or not _is_host(host):
        raise _invalid("Host", "is not the name of a host")


@lru_cache(1_000)
def _is_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None


def parse_idempotency_key(route: Route, header: bytes | None) -> str | None:
    """The caller's key, or None where it sent none or the call takes none.

    Raises:
        InvalidRequest: not 1 to 255 visible ASCII characters.
    """
    if header is None or not route.keyed:
        return None
    text = header.decode("latin-1")
    if not _KEY.fullmatch(text):
        raise _invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return text


def _invalid(path: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{path or 'The query string'} {message}.", details=((path, message),))

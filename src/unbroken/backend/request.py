"""A request of an app as `authenticate` sees it: everything that can carry a session, and no body.

Without a body the account cannot be taken from what the app sends to be linked. What is ambiguous is left out, never
chosen: two parsers that choose differently are how one person's request is taken for another's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_BLANKS: Final = " \t"


@dataclass(frozen=True, slots=True)
class Request:
    """Whose request is it? Nothing that may hold a session is shown by `repr`.

    Args:
        method: GET or POST.
        path: below the place where the endpoint is mounted.
        headers: by lower-case name; one sent several times is joined with ", ".
        cookies: by name; one sent with two values is absent.
        query: every value of every parameter.
        client: address and port of the peer, if known; a proxy's where there is one.
        scope: what the host application's own middleware left: the ASGI scope (`session`, `user`, `state`), in Django
            `user` and `session`, in Flask the WSGI environment without the body.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    query: Mapping[str, Sequence[str]] = field(repr=False)
    client: tuple[str, int] | None
    scope: Mapping[str, Any] = field(repr=False)


def request_of(scope: Mapping[str, Any]) -> Request:
    """The request of an ASGI scope of type `http`."""
    headers = list(_decoded(scope["headers"]))
    return Request(
        method=scope["method"],
        path=_path_below_mount(scope),
        headers=_joined(headers),
        cookies=_cookies(value for name, value in headers if name == "cookie"),
        query=parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True),
        client=tuple(scope["client"]) if scope.get("client") else None,
        scope=scope,
    )


def request_of_environ(environ: Mapping[str, Any], method: str, path: str, scope: Mapping[str, Any]) -> Request:
    """The request of a WSGI environment, in which the server has joined headers that were sent several times.

    Args:
        path: below the place where the endpoint is mounted.
        scope: see `Request`.
    """
    headers = list(_sent(environ))
    address, port = environ.get("REMOTE_ADDR"), str(environ.get("REMOTE_PORT", ""))
    return Request(
        method=method,
        path=path,
        headers=_joined(headers),
        cookies=_cookies(value for name, value in headers if name == "cookie"),
        query=parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True),
        client=(address, int(port) if port.isdecimal() else 0) if address else None,
        scope=scope,
    )


def _sent(environ: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_") or (name in {"CONTENT_TYPE", "CONTENT_LENGTH"} and value):
            yield name.removeprefix("HTTP_").replace("_", "-").lower(), value


def _path_below_mount(scope: Mapping[str, Any]) -> str:
    """Some hosts leave the mount's prefix in `path`, as ASGI says, some cut it off; Litestar adds a slash to it."""
    path: str = scope["path"]
    raw_path: bytes = scope.get("raw_path") or b"/"  # some servers say None, as they may
    if path.endswith("/") and not raw_path.endswith(b"/"):
        path = path[:-1]
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        yield name.decode("latin-1").lower(), value.decode("latin-1")


def _joined(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        separator = "; " if name == "cookie" else ", "
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _cookies(headers: Iterable[str]) -> Mapping[str, str]:
    """Whatever else counts as a blank somewhere is a part of the name here, as it is to a browser.

    Else one that a neighbouring domain may set, a no-break space before `__Host-session`, would stand for one that it
    may not.
    """
    values: dict[str, set[str]] = {}
    for pair in "; ".join(headers).split(";"):
        name, sign, value = pair.partition("=")
        if sign:
            values.setdefault(name.strip(_BLANKS), set()).add(value.strip(_BLANKS))
    return {name: value for name, (value, *others) in values.items() if not others}

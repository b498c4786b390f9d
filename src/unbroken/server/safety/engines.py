"""What the URLs of the engines give away."""

from __future__ import annotations

from pathlib import Path
from stat import S_IROTH
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote

from unbroken.server.safety.finding import Finding, problem, warning
from unbroken.server.settings import LOOPBACK, variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.server.settings import Settings

_GUESSED_FIRST: Final = frozenset(
    {"admin", "changeme", "default", "password", "postgres", "secret", "test", "unbroken"}
)
_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
_ENVIRONMENT_FILE: Final = ".env"


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check of them."""
    account, password, hosts, options = _parts(settings.database_url)
    away = [host for host in hosts if host not in LOOPBACK]
    name = variable("database_url")
    if away and password and password.lower() in {*_GUESSED_FIRST, account.lower()}:
        yield problem("database password", f"The password in {name} is one of the first that are guessed. Change it.")
    if away and options.get("sslmode", [""])[0] not in _ENCRYPTED:
        yield warning(
            "database connection",
            f"Everything goes to {away[0]} unencrypted. Unless that network is yours alone, add ?sslmode=verify-full to"
            f" {name}.",
        )
    for file in _files_with(password, settings) if password else ():
        yield problem("database password", f"{file} holds it, and everybody here can read that file: chmod 600 {file}")
    yield from _nats(settings)


def _nats(settings: Settings) -> Iterator[Finding]:
    for url in filter(None, settings.nats_url.split(",")):
        account, _, hosts, _ = _parts(url.strip())
        if not account and any(host not in LOOPBACK for host in hosts):
            yield warning(
                "payload log", f"{variable('nats_url')} names no account: whoever reaches {hosts[0]} reads all."
            )
            return


def _files_with(password: str, settings: Settings) -> list[Path]:
    """Environment files beside the data or where the server is started, open to all, that hold this password."""
    places = {directory.resolve() / _ENVIRONMENT_FILE for directory in (Path(), settings.data)}
    return sorted(path for path in places if _is_open(path) and password in path.read_text(errors="replace"))


def _is_open(path: Path) -> bool:
    try:
        return path.is_file() and bool(path.stat().st_mode & S_IROTH)
    except OSError:
        return False


def _parts(url: str) -> tuple[str, str, list[str], dict[str, list[str]]]:
    """Account, password, hosts and options of a URL that may name several hosts."""
    authority, _, rest = url.partition("://")[2].partition("/")
    account, _, places = authority.rpartition("@")
    name, _, password = account.partition(":")
    hosts = [_host(place) for place in places.split(",") if place]
    return unquote(name), unquote(password), hosts, parse_qs(rest.partition("?")[2])


def _host(place: str) -> str:
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.partition(":")[0].partition("?")[0]

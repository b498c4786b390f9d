"""Every setting of the server: its name, environment variable, default, unit and meaning, in one table.

Precedence: what the command line says, then the environment, then the default here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, get_type_hints

from unbroken.server.addresses import networks, read
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX: Final = "UNBROKEN_"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LEVELS: Final = ("debug", "info", "warning", "error")
ROLES: Final = ("all", "api", "worker")
PLAIN_HTTP: Final = ("refuse", "allow")
_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LONGEST_S: Final = 86_400
_BACKLOG_MAX: Final = 2**31 - 1  # the system's; it cuts it to what it has
_ALIKE: Final = 0.9
"""Of two names, by `difflib`: one letter more or less, or another one."""


class Unit(NamedTuple):
    """What a setting is measured in, and what it means."""

    unit: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server."""

    data: Annotated[Path, Unit("directory", "Where everything is kept: database, keys, lab clock.")] = Path(
        "unbroken-data"
    )
    database_url: Annotated[
        str,
        Unit(
            "URL",
            "postgresql://ACCOUNT:PASSWORD@HOST:PORT/DATABASE, a primary and its standbys as HOST:PORT,HOST:PORT;"
            " without one, SQLite in the data directory.",
        ),
    ] = field(default="", repr=False)  # it may hold a password
    nats_url: Annotated[
        str,
        Unit("URL", "nats://ACCOUNT:PASSWORD@HOST:PORT, several with commas; without one, the log is in the database."),
    ] = field(default="", repr=False)  # it may hold a password
    nats_replicas: Annotated[int, Unit("nodes", "On how many NATS nodes an upload is stored: 1, 3 or 5.")] = 3
    nats_stream: Annotated[str, Unit("name", "The stream of the payload log, and its subjects' first word.")] = (
        "unbroken"
    )
    nats_max_mib: Annotated[int, Unit("MiB", "How much may wait there; what comes beyond it is answered 503.")] = 10_240
    role: Annotated[str, Unit("role", "api, worker or all: what this process does.")] = "all"
    host: Annotated[str, Unit("address", "What to listen on. A lab refuses anything but loopback.")] = "127.0.0.1"
    port: Annotated[int, Unit("port", "What to listen on; 0 takes a free one and says which.")] = 8080
    trusted_proxies: Annotated[
        str,
        Unit("networks", "Whose X-Forwarded-For is believed: networks or addresses, with commas; nobody's if empty."),
    ] = ""
    plain_http: Annotated[
        str,
        Unit(
            "choice",
            "refuse or allow: to listen on more than loopback where no trusted proxy is named, which would speak TLS.",
        ),
    ] = "refuse"
    log_level: Annotated[str, Unit("level", "debug, info, warning, error. Requests are logged at info.")] = "info"
    head_timeout_s: Annotated[float, Unit("seconds", "How long a connection may take to send a request head.")] = 10.0
    body_timeout_s: Annotated[float, Unit("seconds", "How long a request may take to send its body.")] = 60.0
    reply_timeout_s: Annotated[float, Unit("seconds", "How long a caller may take nothing of a reply.")] = 60.0
    keep_alive_s: Annotated[float, Unit("seconds", "How long a connection may idle between two requests.")] = 30.0
    stop_timeout_s: Annotated[float, Unit("seconds", "How long a stop waits for requests in flight.")] = 10.0
    backlog: Annotated[int, Unit("connections", "How many connections may wait to be accepted.")] = 2048
    verify_every_s: Annotated[float, Unit("seconds", "How often some people are verified; 0: never.")] = 600.0
    audit_publish_every_s: Annotated[
        float, Unit("seconds", "How often it is said where the audit log ends; 0: never.")
    ] = 3600.0
    audit_file: Annotated[
        str, Unit("file", "Where that is written to, a line each time; without one, audit-heads.jsonl beside the data.")
    ] = ""
    limit_key: Annotated[int, Unit("calls a minute", "Of one API key; 0: no limit, as for those below.")] = 30_000
    limit_key_links: Annotated[
        int, Unit("link calls a minute", "With one API key: links, and codes that will link.")
    ] = 1_200
    limit_app: Annotated[int, Unit("calls a minute", "Of all callers of one app.")] = 0
    limit_install: Annotated[int, Unit("calls a minute", "Of one install.")] = 600
    limit_address: Annotated[
        int,
        Unit(
            "calls a minute",
            "Of one app's devices behind one address; there also of tokens renewed, codes spent, and calls refused.",
        ),
    ] = 6_000
    limit_app_registrations: Annotated[int, Unit("registrations a minute", "With the secret of one app.")] = 1_200
    limit_address_registrations: Annotated[
        int, Unit("registrations a minute", "Of one app's devices behind one address, with its secret.")
    ] = 60
    limit_address_connections: Annotated[int, Unit("connections", "Open at once from one address.")] = 512
    quota_key: Annotated[int, Unit("calls a day", "Of one API key, in a day of UTC; 0: no quota.")] = 0
    quota_app: Annotated[int, Unit("calls a day", "Of all callers of one app; 0: no quota.")] = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            CannotStart: naming the setting.
        """
        if not 0 <= self.port <= 65_535:
            raise CannotStart(f"The port {self.port} is not between 0 and 65535.")
        self._check_cluster()
        if not 1 <= self.backlog <= _BACKLOG_MAX:
            raise CannotStart(f"{variable('backlog')} must be between 1 and {_BACKLOG_MAX}.")
        if self.log_level not in LEVELS:
            raise CannotStart(f"The log level {self.log_level!r} is none of {', '.join(LEVELS)}.")
        for name in ("head_timeout_s", "body_timeout_s", "reply_timeout_s", "keep_alive_s", "stop_timeout_s"):
            if not 1 <= getattr(self, name) <= _LONGEST_S:
                raise CannotStart(f"{variable(name)} must be between 1 and {_LONGEST_S} seconds.")
        self._check_callers()
        for name in ("verify_every_s", "audit_publish_every_s"):
            if getattr(self, name) and not 1 <= getattr(self, name) <= _LONGEST_S:
                raise CannotStart(f"{variable(name)} must be 0, or between 1 and {_LONGEST_S} seconds.")

    def _check_cluster(self) -> None:
        if self.role not in ROLES:
            raise CannotStart(f"The role {self.role!r} is none of {', '.join(ROLES)}.")
        if self.nats_replicas not in {1, 3, 5}:
            raise CannotStart(f"{variable('nats_replicas')} must be 1, 3 or 5.")
        if not _STREAM.fullmatch(self.nats_stream):
            raise CannotStart(f"{variable('nats_stream')} must be letters, digits, - and _, up to 32.")
        if self.nats_max_mib < 1:
            raise CannotStart(f"{variable('nats_max_mib')} must be at least 1.")

    def _check_callers(self) -> None:
        try:
            networks(self.trusted_proxies)
        except ValueError as error:
            raise CannotStart(f"{variable('trusted_proxies')}: {error}.") from error
        if self.plain_http not in PLAIN_HTTP:
            raise CannotStart(f"{variable('plain_http')} must be refuse or allow.")
        for name in (each.name for each in fields(self) if each.name.startswith(("limit_", "quota_"))):
            if getattr(self, name) < 0:
                raise CannotStart(f"{variable(name)} must be 0 or more.")

    @property
    def is_public(self) -> bool:
        """Whether others than this machine can connect."""
        address = read(self.host)
        return self.host not in LOOPBACK if address is None else not address.is_loopback


class Row(NamedTuple):
    """One line of the table of settings."""

    name: str
    variable: str
    kind: type
    default: Any
    unit: str
    meaning: str


def table() -> Iterator[Row]:
    """The settings in their order, for loading and for documentation."""
    hints = get_type_hints(Settings, include_extras=True)
    for each in fields(Settings):
        kind, about = hints[each.name].__origin__, hints[each.name].__metadata__[0]
        yield Row(each.name, variable(each.name), kind, each.default, about.unit, about.meaning)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def load(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """The settings in force; a `given` one that is None was not given.

    Raises:
        CannotStart: a value of a wrong form, by its variable's name.
    """
    source = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for row in table():
        if given.get(row.name) is not None:
            values[row.name] = given[row.name]
        elif source.get(row.variable):
            values[row.name] = _parse(row, source[row.variable])
    return Settings(**values)


def misspelt() -> Iterator[tuple[str, str]]:
    """Variables that name no setting, each with the one that it nearly names."""
    known = [row.variable for row in table()]
    for name in sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        for meant in get_close_matches(name, known, 1, _ALIKE):
            yield name, meant


def _parse(row: Row, text: str) -> Any:
    try:
        return row.kind(text)
    except ValueError as error:
        raise CannotStart(f"{row.variable} must be a number of {row.unit}, not {text!r}.") from error

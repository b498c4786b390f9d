"""One row of the table of routes, as data: what a call takes, who may make it, what it answers.

Dispatch, validation, OpenAPI, the reference docs and the scope tests are all made from these rows. A row without a
credential, or one for API keys without a scope, cannot be made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from unbroken.domain.app import Scope

if TYPE_CHECKING:
    from unbroken.domain.errors import Refusal
    from unbroken.flow.authenticate import AppCaller, CredentialCaller, InstallCaller, KeyCaller
    from unbroken.flow.context import Context

    Caller = AppCaller | KeyCaller | InstallCaller | CredentialCaller | None

Handler = Callable[["Context", "Call"], Awaitable[Any]]
Method = Literal["GET", "POST", "PUT", "DELETE"]


class Credential(Enum):
    """Who may make a call (http-api.md, "Credentials"). The value is how documentation says it."""

    NONE = "none"
    APP_SECRET_OR_CODE = "app id and app secret (HTTP Basic), or an authentication code in the body"  # noqa: S105
    INSTALL_CREDENTIAL = "install credential"
    USER_TOKEN = "user token"  # noqa: S105
    API_KEY = "API key"
    KEY_OR_OWN_TOKEN = "API key, or the user's own token"  # noqa: S105


_FOR_KEYS: Final = frozenset({Credential.API_KEY, Credential.KEY_OR_OWN_TOKEN})

QueryType = Literal["day", "instant", "integer", "text", "flag"]


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter.

    Types: `day` arrives as `datetime.date` (`YYYY-MM-DD`), `instant` as epoch milliseconds (ISO 8601 with offset),
    `integer` as int within `minimum..maximum`, `text` as str, `flag` as bool. One that is not given is not in
    `Call.query`.
    """

    name: str
    type: QueryType
    required: bool
    summary: str
    minimum: int = 1
    maximum: int = 1_000
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call of the API.

    Args:
        path: segments in braces are parameters, handed over as text: `/v2/users/{install_id}/link`.
        handler: None for uploads, which are answered before the table is asked (server/ingest.py).
        scope: what an API key must carry; None where no key may call.
        has_optional_body: the body may be left out; then `Call.body` is None.
        reply: msgspec type of the body, None for a reply without one. Documented, not enforced.
        request: msgspec type of the body, None where none is read.
        errors: the refusals of this call beside those every call can meet.
        keyed: honours `Idempotency-Key`.
        has_dry_run: takes `dry_run=true`.
        does: what the call does, to refuse a wrong credential by name: "a user token cannot `link`".
        lab: is there in lab mode only.
        reply_type: the media type of the reply.
        hidden: not in the OpenAPI document.
        has_small_body: takes 64 KiB at most, whoever sends it.
    """

    method: Method
    path: str
    handler: Handler | None
    credential: Credential
    scope: Scope | None
    summary: str
    reply: Any
    status: int = 200
    request: Any = None
    query: tuple[Query, ...] = ()
    errors: tuple[type[Refusal], ...] = ()
    keyed: bool = False
    has_dry_run: bool = False
    example_request: Any = None
    example_reply: Any = None
    reply_headers: Mapping[str, str] = field(default_factory=dict)
    does: str = "make this call"
    has_optional_body: bool = False
    lab: bool = False
    reply_type: str = "application/json"
    hidden: bool = False
    has_small_body: bool = False

    def __post_init__(self) -> None:
        """Refuse a row that says not who may call.

        Raises:
            ValueError: no credential, or one for API keys without a scope, or a scope that nothing checks.
        """
        if not isinstance(self.credential, Credential):
            raise ValueError(f"{self.method} {self.path} names no credential.")  # noqa: TRY004  (a row, not a call)
        if (self.credential in _FOR_KEYS) != isinstance(self.scope, Scope):
            raise ValueError(f"{self.method} {self.path}: a scope goes with an API key, and only with one.")
        if not self.path.startswith("/"):
            raise ValueError(f"{self.path} does not begin with a slash.")

    @property
    def key_is_uuid(self) -> bool:
        """Whether its `Idempotency-Key` must be a UUID: a registration's is a secret (linking.md, registering)."""
        return self.credential is Credential.APP_SECRET_OR_CODE

    @property
    def name(self) -> str:
        """`POST /sdk/installs`: for logs, metrics and messages."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request after every check that the row asks for.

    Args:
        caller: what flow.authenticate answered; None where the row needs no credential, or a code stands in the body.
        path: the path's parameters by name, percent-decoded.
        query: by name, parsed; `dry_run` is always there where the row has it.
        body: the decoded `request` type, or None.
        body_hash: SHA-256 of method, path, dry run and the decoded body: what an `Idempotency-Key` is held against. The
            same request written with other white space or in another order of members has the same.
    """

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    body_hash: bytes
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that says more than its value.

    Args:
        value: a msgspec struct or other JSON value; bytes are sent as they are; None is no body; of an asynchronous
            generator of bytes each part is sent as it comes, and one that raises ends the connection without an end.
        status: the row's own if None.
        headers: beside the usual ones, names in lower case.
        alarms: what is to be counted as an alarm (`Metrics.alarm`), and how often.
    """

    value: Any
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    alarms: tuple[str, int] = ("", 0)

"""One exchange with the platform as values: what is sent, what came back, what it means. No network here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from unbroken import wire
from unbroken.backend.errors import PlatformError, PlatformUnreachable, ReplyNotUnderstood, refusal
from unbroken.domain import errors as refusals
from unbroken.outgoing import NoReply, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request, relative to the platform's base URL. The body is not shown: it may hold a ticket."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    idempotency_key: str | None = None


Heard = Reply | NoReply
"""What came of one try."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of the API: the request, and how a good reply reads."""

    request: ApiRequest
    read: Callable[[Reply], T]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; the last one has no `next_cursor`."""

    items: Sequence[T]
    next_cursor: str | None


_IN_BETWEEN: Final = frozenset({502, 503, 504})
"""What a proxy answers when it cannot reach the platform."""


def result_of(call: Call[T], heard: Heard) -> T:
    """What the call came to.

    Raises:
        PlatformError: the platform refused.
        PlatformUnreachable: there was no reply, or only a proxy's.
        ReplyNotUnderstood: the reply is not of the contract.
    """
    if isinstance(heard, NoReply):
        raise PlatformUnreachable(f"no reply from the platform: {heard.details}")
    if heard.status >= 300:
        raise _error_of(heard)
    return call.read(heard)


def is_temporary(heard: Heard) -> bool:
    """Whether the same request may well succeed in a moment. A held burst (`LINK_BURST`) is a decision, not a state."""
    if isinstance(heard, NoReply):
        return True
    return heard.status >= 500 or (heard.status == 429 and not _is_burst(heard))


def body_of(reply: Reply, type_: type[T]) -> T:
    """The body of a reply as a type of `wire`.

    Raises:
        ReplyNotUnderstood: it is not one.
    """
    try:
        return wire.decode(reply.body, type_)
    except wire.UNREADABLE as error:
        raise ReplyNotUnderstood(f"the reply {reply.status} is not of the contract: {error}", ref=reply.ref) from error


def instant(text: str) -> int:
    """Epoch milliseconds of a time in a reply.

    Raises:
        ReplyNotUnderstood: `text` is no such thing.
    """
    at_ms = wire.parse_iso(text)
    if at_ms is None:
        raise ReplyNotUnderstood(f"{text!r} is not a time with an offset")
    return at_ms


def instant_or_none(text: str | None) -> int | None:
    """Like `instant`, for a time that may be open."""
    return None if text is None else instant(text)


def _error_of(reply: Reply) -> PlatformError | PlatformUnreachable | ReplyNotUnderstood:
    problem = _problem(reply)
    if problem is not None:
        return refusal(reply.status, problem, retry_after_s=reply.retry_after_s)
    if reply.status in _IN_BETWEEN:
        return PlatformUnreachable(f"something in front of the platform answered with HTTP status {reply.status}")
    return ReplyNotUnderstood(f"HTTP status {reply.status} without an errorCode", ref=reply.ref)


def _problem(reply: Reply) -> wire.Problem | None:
    try:
        return wire.decode(reply.body, wire.Problem)
    except wire.UNREADABLE:
        return None


def _is_burst(reply: Reply) -> bool:
    problem = _problem(reply)
    return problem is not None and problem.error_code == refusals.LinkBurst.code

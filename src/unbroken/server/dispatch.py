"""From a request to a handler's answer, by the table: credential, parameters, body, in this order, then the handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from unbroken import credentials, install_key
from unbroken.domain.errors import InvalidRequest, Refusal, Unauthenticated
from unbroken.flow.authenticate import CredentialCaller, KeyCaller
from unbroken.server import body as bodies
from unbroken.server import document, parameters
from unbroken.server.authenticate import authenticate
from unbroken.server.callers import app_of
from unbroken.server.route import Answer, Call, Credential

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbroken.domain.ids import AppId
    from unbroken.flow.context import Context
    from unbroken.server.counting import Counting
    from unbroken.server.metrics import Metrics
    from unbroken.server.reply import Receive
    from unbroken.server.route import Caller, Route

BODY_LATE_S: Final = 1.0
"""A body that takes longer is waited for, and then the caller is looked at once more."""

_PROOF: Final = install_key.PROOF_HEADER.lower().encode()
_ENCODER: Final = msgspec.json.Encoder()
_CANONICAL: Final = msgspec.json.Encoder(order="sorted")


class Reply(NamedTuple):
    """What goes out; a body may come in parts."""

    status: int
    body: bytes | AsyncGenerator[bytes, None] | None
    headers: Mapping[str, str]


class Dispatch:
    """Calls handlers for matched rows."""

    def __init__(self, context: Context, routes: Iterable[Route], metrics: Metrics, counting: Counting | None) -> None:
        self._context = context
        self._counting = counting
        self._of_apps: dict[AppId, Context] = {}
        self._metrics = metrics
        self._decoders = {
            route.name: msgspec.json.Decoder(route.request) for route in routes if route.request is not None
        }

    async def __call__(
        self,
        route: Route,
        path: Mapping[str, str],
        query_string: bytes,
        headers: Mapping[bytes, bytes],
        *,
        receive: Receive,
        address: bytes | None,
        told: dict[str, str],
    ) -> Reply:
        """Answer one request of a row; `address` is what it is counted by (`counting.py`).

        Args:
            told: takes the headers that go with the reply, whatever it is, also where this raises.

        Raises:
            Refusal: of the checks, or the handler's own.
            Disconnected: the caller went away.
        """
        loop = asyncio.get_running_loop()
        caller, until_s = await self._counted(route, headers, address), loop.time() + BODY_LATE_S
        if isinstance(caller, KeyCaller) and caller.rotated_at is not None:
            told |= _farewell(caller.rotated_at, caller.ends_at)
        query = parameters.parse_query(route, query_string)
        key = parameters.parse_idempotency_key(route, headers.get(b"idempotency-key"))
        body = await self._body(route, caller, headers, receive)
        if loop.time() > until_s:
            caller = await self._admit(route, headers)
        if route.credential is Credential.APP_SECRET_OR_CODE:
            _check_code(caller, body)
        digest = _digest(route, path, query, body) if key is not None else b""
        answer = await self._handle(route, Call(caller, path, query, body, digest, key))
        return _reply(route, answer)

    async def _counted(self, route: Route, headers: Mapping[bytes, bytes], address: bytes | None) -> Caller:
        admitting = self._admit(route, headers)
        return await (admitting if self._counting is None else self._counting.counted(address, route, admitting))

    async def _admit(self, route: Route, headers: Mapping[bytes, bytes]) -> Caller:
        caller = await authenticate(self._context, route, headers.get(b"authorization"))
        if isinstance(caller, CredentialCaller):
            caller = CredentialCaller(caller.token, headers.get(_PROOF, b"").decode("latin-1"))
        return caller

    async def _body(self, route: Route, caller: Caller, headers: Mapping[bytes, bytes], receive: Receive) -> Any:
        length = headers.get(b"content-length", b"")
        if route.request is None:
            bodies.check_length(length)
            return None
        encoding = headers.get(b"content-encoding", b"")
        bodies.check_media_type(headers.get(b"content-type", b""))
        bodies.check_encoding(encoding)
        content = bodies.unpack(await bodies.read_body(receive, length), encoding)
        if route.has_small_body or (caller is None and route.credential is not Credential.NONE):
            bodies.check_anonymous(content)
        if route.has_optional_body and not content:
            return None
        document.check_depth(content)
        document.check_strictness(content)
        return document.decode(content, self._decoders[route.name])

    def _of(self, caller: Caller) -> Context:
        """The context of a caller's app; there are as many as apps."""
        app_id = app_of(caller)
        if app_id is None:
            return self._context
        own = self._of_apps.get(app_id)
        if own is None:
            own = self._of_apps[app_id] = self._context.of_app(app_id)
        return own

    async def _handle(self, route: Route, call: Call) -> Answer:
        links = route.path.endswith("/link")
        try:
            assert route.handler is not None, "uploads do not come here"
            answer = await route.handler(self._of(call.caller), call)
        except Refusal as refusal:
            self._metrics.alarm(refusal.code)
            if links:
                self._metrics.link(refusal.code)
            raise
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        self._metrics.alarm(*answer.alarms)
        if links:
            self._metrics.link("linked")
        return answer


def _check_code(caller: Caller, body: Any) -> None:
    """An app secret or a code, never both, never none (http-api.md, "Device API")."""
    code = getattr(body, "authentication_code", None)
    if caller is not None and code is not None:
        raise InvalidRequest(
            "An app secret and an authentication code were given; one of them is to decide.",
            details=(("authentication_code", "must not be given together with an app secret"),),
        )
    if caller is None and code is None:
        raise Unauthenticated(hint=f"This call takes: {Credential.APP_SECRET_OR_CODE.value}.")


def _farewell(rotated_at: int, ends_at: int) -> dict[str, str]:
    """What a key that has a successor is told: since when (RFC 9745), and until when (RFC 8594)."""
    return {"deprecation": f"@{rotated_at // 1000}", "sunset": formatdate(ends_at / 1000, usegmt=True)}


def _digest(route: Route, path: Mapping[str, str], query: Mapping[str, Any], body: Any) -> bytes:
    meaning = (route.name, dict(path), query.get("dry_run", False), body)
    return credentials.body_hash(_CANONICAL.encode(meaning))


def _reply(route: Route, answer: Answer) -> Reply:
    status = route.status if answer.status is None else answer.status
    body: bytes | AsyncGenerator[bytes, None] | None
    match answer.value:
        case None:
            body = None
        case bytes() | AsyncGenerator() as encoded:
            body = encoded
        case value:
            body = _ENCODER.encode(value)
    return Reply(status, body, answer.headers)

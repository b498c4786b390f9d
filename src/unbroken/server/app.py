"""The ASGI application: request id, lab time, hot path or table, and one shape for everything that goes wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import structlog

from unbroken.domain.errors import Internal, InvalidRequest, MethodNotAllowed, Refusal, TokenInUrl, Unavailable
from unbroken.flow import leaks
from unbroken.server import ingest, problems
from unbroken.server.authenticate import challenge
from unbroken.server.body import Disconnected
from unbroken.server.dispatch import Dispatch, Reply
from unbroken.server.lab import LabClock, read_lab_time
from unbroken.server.metrics import LEAKED
from unbroken.server.parameters import check_host
from unbroken.server.reply import CallerGone, send_parts, send_reply, send_usual
from unbroken.server.router import Router, WrongMethod
from unbroken.store.contract import StoreDeparted, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.flow.context import Context
    from unbroken.server.counting import Counting
    from unbroken.server.logs import RequestLog
    from unbroken.server.metrics import Metrics
    from unbroken.server.reply import Headers, Receive, Scope, Send
    from unbroken.server.request_ids import RequestIds
    from unbroken.server.route import Route

UNMATCHED: Final = "unmatched"
_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"host",
        b"idempotency-key",
        b"lab-time",
    }
)

log = structlog.get_logger()


@dataclass(slots=True)
class Exchange:
    """One request while it is answered.

    Args:
        route: the row it matched, None until it did.
        status: of the reply; 0 while nothing was sent.
        code: of the refusal, if it was one.
        headers: that go with the reply, whatever it is.
        address: what it is counted by (`counting.py`).
    """

    request_id: str
    route: Route | None = None
    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    address: bytes | None = None


class Application:
    """What uvicorn calls.

    Args:
        lab_clock: in lab mode, the clock that `Lab-Time` moves; None elsewhere.
        counting: counts calls against the limits; None where there are none.
    """

    def __init__(
        self,
        context: Context,
        routes: Sequence[Route],
        *,
        metrics: Metrics,
        request_log: RequestLog,
        request_ids: RequestIds,
        lab_clock: LabClock | None = None,
        counting: Counting | None = None,
    ) -> None:
        self._context = context
        self._takes_uploads = ingest.ROUTE in routes
        self._router = Router(routes)
        self._dispatch = Dispatch(context, routes, metrics, counting)
        self._metrics = metrics
        self._log = request_log
        self._ids = request_ids
        self._lab_clock = lab_clock
        self._counting = counting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"The platform speaks HTTP, not {scope['type']}.")
        started_s = perf_counter()
        exchange = Exchange(self._ids.next())
        try:
            await self._answer(scope, receive, send, exchange)
        except (Disconnected, CallerGone):
            return
        except Refusal as refusal:
            await self._refuse(send, exchange, refusal)
        except WrongMethod as wrong:
            unknown = MethodNotAllowed(hint=f"It knows {wrong.allowed}.")
            await self._refuse(send, exchange, unknown, [(b"allow", wrong.allowed.encode())])
        except StoreUnavailable as error:
            log.warning("store unavailable", request_id=exchange.request_id, reason=str(error))
            said = str(error) if isinstance(error, StoreDeparted) else None
            await self._refuse(send, exchange, Unavailable(said))
        except Exception:
            log.exception("internal error", request_id=exchange.request_id, route=_name(exchange))
            await self._refuse(send, exchange, Internal())
        duration_s = perf_counter() - started_s
        name = _name(exchange)
        self._metrics.request(name, exchange.status, duration_s)
        self._log.line(exchange.request_id, name, exchange.status, duration_s, exchange.code)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        pairs = scope["headers"]
        headers: dict[bytes, bytes] = dict(pairs)
        if len(headers) != len(pairs):
            _refuse_repeated(pairs)
        check_host(headers.get(b"host"), scope.get("http_version", ""))
        if b"lab-time" in headers:
            self._move_clock(headers[b"lab-time"])
        if self._counting is not None:
            exchange.address = self._counting.address_of(scope)
        if scope["path"] == ingest.PATH and scope["method"] == "POST" and self._takes_uploads:
            await self._upload(scope, headers, receive, send, exchange)
        else:
            await self._call(scope, headers, receive, send, exchange)

    async def _upload(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send, exchange: Exchange
    ) -> None:
        exchange.route = ingest.ROUTE
        if scope["query_string"]:
            await self._refuse_tokens(scope["query_string"], exchange)
        body, sent_bytes = await ingest.upload(
            self._context, scope["query_string"], headers, receive, address=exchange.address, counting=self._counting
        )
        self._metrics.upload(sent_bytes)
        exchange.status = 202
        await send_usual(scope, send, 202, body, exchange.request_id)

    async def _call(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send, exchange: Exchange
    ) -> None:
        raw_path = scope.get("raw_path") or scope["path"].encode()
        await self._refuse_tokens(raw_path + b"?" + scope["query_string"], exchange)
        match = self._router.match(scope["method"], raw_path)
        exchange.route = match.route
        reply = await self._dispatch(
            match.route,
            match.path,
            scope["query_string"],
            headers,
            receive=receive,
            address=exchange.address,
            told=exchange.headers,
        )
        exchange.status = reply.status
        if exchange.headers:
            reply = reply._replace(headers={**reply.headers, **exchange.headers})
        if isinstance(reply.body, bytes) and not reply.headers:
            await send_usual(scope, send, reply.status, reply.body, exchange.request_id)
        else:
            await _send(send, receive, reply, exchange.request_id, match.route.reply_type)

    async def _refuse_tokens(self, target: bytes, exchange: Exchange) -> None:
        """Refuse a credential in the URL; one of ours is void from now on, where that is possible (`flow/leaks.py`)."""
        if b"unb_" not in target and b"%" not in target:
            return
        found = leaks.found_in(unquote_to_bytes(target).decode("latin-1"))
        if not found:
            return
        refusal = TokenInUrl(
            hint="Send it in the Authorization header. An API key that stood in a URL is void: create another."
        )
        if self._counting is not None:
            self._counting.refused(exchange.address, refusal)
        leaked = await leaks.report(self._context, found)
        self._metrics.alarm(LEAKED, len(leaked))
        for one in leaked:
            log.warning("secret in a URL", code=LEAKED, kind=one.kind.value, subject=one.subject, void=one.is_void)
        raise refusal

    async def _refuse(self, send: Send, exchange: Exchange, refusal: Refusal, more: Headers = ()) -> None:
        if exchange.status:
            return  # half a reply is out: the connection is of no more use, which uvicorn sees by itself
        exchange.status, exchange.code = problems.status_of(refusal), refusal.code
        headers = [*problems.headers_of(refusal, challenge(exchange.route)), *more, *_encoded(exchange.headers)]
        body = problems.body_of(refusal, exchange.request_id)
        await send_reply(send, exchange.status, body, exchange.request_id, headers=headers)

    def _move_clock(self, lab_time: bytes) -> None:
        if self._lab_clock is None:
            raise InvalidRequest(
                "Lab-Time is for a lab only, and this platform is none.",
                hint="Start one with `unbroken serve --lab`.",
                details=(("Lab-Time", "is not taken here"),),
            )
        self._lab_clock.advance_to(read_lab_time(lab_time))


def _refuse_repeated(pairs: Headers) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen and name in _ONCE:
            text = name.decode("latin-1")
            raise InvalidRequest(f"The header {text} is there twice.", details=((text, "is there twice"),))
        seen.add(name)


async def _send(send: Send, receive: Receive, reply: Reply, request_id: str, usual_type: str) -> None:
    others = dict(reply.headers)
    kind = others.pop("content-type", usual_type).encode()
    headers = _encoded(others)
    if isinstance(reply.body, AsyncGenerator):
        await send_parts(send, receive, reply.status, reply.body, request_id, content_type=kind, headers=headers)
    else:
        await send_reply(send, reply.status, reply.body, request_id, content_type=kind, headers=headers)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _name(exchange: Exchange) -> str:
    return UNMATCHED if exchange.route is None else exchange.route.name

"""`LinkEndpoint`: the part of a customer's server that an app talks to, as a plain ASGI application to be mounted.

    app.mount("/linking", LinkEndpoint(platform, authenticate=current_account))

`POST /install` links the SDK's install to whoever is signed in; `GET /auth-code` gives that person's app a code;
`GET /challenge` gives the device what it proves itself with. The account comes from `authenticate` alone, which sees no
body. Django and Flask have faces of their own (`unbroken.backend.django`, `unbroken.backend.flask`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from unbroken.backend import linking
from unbroken.backend.endpoint import Endpoint, Settings
from unbroken.backend.errors import InvalidConfig
from unbroken.backend.request import Request, request_of
from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from typing import Unpack

    from unbroken import wire
    from unbroken.backend.attestation import Binding, Evidence, Judgement, Policy, Refused
    from unbroken.backend.client import AsyncPlatform
    from unbroken.backend.linking import AppAnswer, LinkAsked
    from unbroken.backend.pace import Limit
    from unbroken.backend.results import AuthCode, Link

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

Authenticate = Callable[[Request], str | None] | Callable[[Request], Awaitable[str | None]]
"""Who is signed in on this request: the account's external id, or None. A plain function runs on a thread."""


class LinkEndpoint:
    """See the module.

    Args:
        platform: whose API key has the scope `user.link`.
        authenticate: finds the account in the customer's own session. What it raises is the host application's to
            handle; nothing is linked then.
        settings: see `Settings`.

    Raises:
        InvalidConfig: a setting is not usable, or the platform is one that blocks.
    """

    def __init__(self, platform: AsyncPlatform, authenticate: Authenticate, **settings: Unpack[Settings]) -> None:
        if not inspect.iscoroutinefunction(platform.link):
            raise InvalidConfig("under ASGI the platform is an AsyncPlatform")
        self._endpoint = Endpoint(_Awaiting(platform, authenticate), platform, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks."""
        if scope["type"] == "websocket":  # a mount hands these on too
            await receive()
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise RuntimeError("LinkEndpoint is mounted in an ASGI application; it is none by itself")
        await _send(send, await self._endpoint.answer(request_of(scope), lambda: _body(receive)))


class _Awaiting:
    """The host of an asyncio framework."""

    def __init__(self, platform: AsyncPlatform, authenticate: Authenticate) -> None:
        self._platform = platform
        self._authenticate = authenticate

    async def authenticate(self, request: Request) -> object:
        if inspect.iscoroutinefunction(self._authenticate):
            return await self._authenticate(request)
        account = await asyncio.to_thread(self._authenticate, request)
        return await account if inspect.isawaitable(account) else account

    async def wait_ms(self, limit: Limit, account: str, now_ms: int) -> int:
        wait_ms = limit.wait_ms(account, now_ms)
        return wait_ms if isinstance(wait_ms, int) else await wait_ms

    async def judge(self, policy: Policy, given: Evidence | Refused | None, binding: Binding, now_ms: int) -> Judgement:
        return await policy.judge_async(given, binding, now_ms)

    async def link(self, asked: LinkAsked, account: str, attested: wire.Attested | None) -> Link:
        return await self._platform.link(
            asked.install_id, external_id=account, link_ticket=asked.link_ticket, attestation=attested
        )

    async def find_link(self, asked: LinkAsked, account: str) -> Link | None:
        return await self._platform.find_link(asked.install_id, external_id=account)

    async def create_auth_code(self, account: str) -> AuthCode:
        return await self._platform.create_auth_code(account)


async def _body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        TooLarge: before the rest is read.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise refusals.InvalidRequest("The request ended early.")
        body += message.get("body", b"")
        if len(body) > linking.BODY_MAX_BYTES:
            raise refusals.TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def _send(send: Send, answer: AppAnswer) -> None:
    headers, body = linking.encode(answer)
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})

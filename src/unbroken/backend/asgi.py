"""`LinkEndpoint`: the part of a customer's server that an app talks to, as a plain ASGI application to be mounted.

    app.mount("/linking", LinkEndpoint(platform, authenticate=current_account))

`POST /install` links the SDK's install to whoever is signed in; `GET /auth-code` gives that person's app a code.
The account comes from `authenticate` alone, which sees no body. Devices that must prove themselves (`GET /challenge`,
`attestation`) are not here yet.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from unbroken.backend import linking
from unbroken.backend.connection import check_url
from unbroken.backend.errors import BackendError
from unbroken.backend.request import Request, request_of
from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from unbroken.backend.client import AsyncPlatform
    from unbroken.backend.linking import AppAnswer

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

Authenticate = Callable[[Request], str | None] | Callable[[Request], Awaitable[str | None]]
"""Who is signed in on this request: the account's external id, or None. A plain function runs on a thread."""

_log: Final = logging.getLogger("unbroken.backend")


class LinkEndpoint:
    """See the module.

    Args:
        platform: whose API key has the scope `user.link`.
        authenticate: finds the account in the customer's own session. What it raises is the host application's to
            handle; nothing is linked then.
        platform_url: where apps reach the platform; the kit's own base URL if left out.

    Raises:
        InvalidConfig: `platform_url` is not usable.
    """

    def __init__(self, platform: AsyncPlatform, authenticate: Authenticate, *, platform_url: str | None = None) -> None:
        self._platform = platform
        self._authenticate = authenticate
        self._platform_url = platform.base_url if platform_url is None else platform_url
        check_url(self._platform_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks."""
        if scope["type"] == "websocket":  # a mount hands these on too
            await receive()
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise RuntimeError("LinkEndpoint is mounted in an ASGI application; it is none by itself")
        await _send(send, await self._answer(request_of(scope), receive))

    async def _answer(self, request: Request, receive: Receive) -> AppAnswer:
        ref = self._platform.options.new_id()
        try:
            linking.require_route(request.method, request.path)
            account = await self._account(request)
            if request.path == "/auth-code":
                return await self._auth_code(account)
            linking.require_json(request.headers)
            return await self._link(account, linking.read_install(await _body(receive)))
        except BackendError as error:
            _log.warning("the platform did not do what an app asked for: %s (here %s)", error, ref)
            return linking.failed(error, ref)
        except refusals.Refusal as refusal:
            return linking.refused(refusal, ref, request.path)

    async def _account(self, request: Request) -> str:
        """The external id of whoever is signed in.

        Raises:
            Unauthenticated: nobody is.
            TypeError: `authenticate` gave something that is no external id, so nothing is guessed from it.
        """
        if inspect.iscoroutinefunction(self._authenticate):
            account = await self._authenticate(request)
        else:
            account = await asyncio.to_thread(self._authenticate, request)
            account = await account if inspect.isawaitable(account) else account
        if account is None:
            raise refusals.Unauthenticated("Nobody is signed in.")
        if not isinstance(account, str):
            raise TypeError(f"authenticate returned a {type(account).__name__}; an external id is a string")
        return account

    async def _link(self, account: str, install: linking.LinkAsked) -> AppAnswer:
        link = await self._platform.link(install.install_id, external_id=account, link_ticket=install.link_ticket)
        return linking.linked(link)

    async def _auth_code(self, account: str) -> AppAnswer:
        return linking.auth_code(await self._platform.create_auth_code(account), self._platform_url)


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
    """Send an answer. It is about one person, so nothing on the way may keep it."""
    body = linking.encode(answer)
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
    }
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})

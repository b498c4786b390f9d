"""Requests over HTTP with httpx, which is loaded when the first one is sent. No reply is a value, `NoReply`.

TLS comes in as an `ssl.SSLContext`, so that pinning is the context's business.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, cast

from unbroken import install_key
from unbroken.outgoing import Body, NoReply, NotTaken, Reply, client_arguments, headers_of, no_reply, reply_of
from unbroken.sdk.errors import InvalidConfig
from unbroken.sdk.exchange import AppSecret, Bearer, Request, WrongPeer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx

    from unbroken.sdk.config import Config
    from unbroken.sdk.install_key import InstallKey
    from unbroken.sdk.pins import Pins
    from unbroken.sdk.secret import Secret


REPLY_MAX_BYTES: Final = 8 << 20
"""Far above any reply of the platform to a device."""

_NO_TIME: Final = NoReply("no time is left for it")


class BlockingTransport:
    """One httpx client, made when it is first needed.

    Args:
        config: of the SDK.
        pins: those in force, where the config has any: signed updates exchange them.
    """

    def __init__(self, config: Config, pins: Callable[[], Pins]) -> None:
        self._config = config
        self._pins = pins
        self._own_transport = _blocking(config.transport)
        self._client: httpx.Client | None = None

    def send(self, request: Request, app_secret: Secret | None, limit_s: float | None) -> Reply | NoReply:
        """Send and read the whole reply.

        Args:
            app_secret: needed where the request asks for it.
            limit_s: how long connecting, sending and receiving may take at most, where that is less than the config
                says; 0 sends nothing.
        """
        import httpx  # noqa: PLC0415 - 150 ms at import, of no use to a process that never sends

        if limit_s == 0:
            return _NO_TIME
        if self._client is None:
            self._client = httpx.Client(transport=self._own_transport, **_client_arguments(self._config, self._pins))
        arguments = _request_arguments(request, app_secret, self._config, limit_s)
        try:
            with self._client.stream(**arguments) as response:
                body = _body(response, arguments["timeout"])
                for part in response.iter_bytes():
                    body.add(part)
                return reply_of(response, body.whole())
        except (httpx.TransportError, NotTaken) as error:
            return _no_reply(error)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncTransport:
    """The same on asyncio."""

    def __init__(self, config: Config, pins: Callable[[], Pins]) -> None:
        self._config = config
        self._pins = pins
        self._own_transport = _asynchronous(config.transport)
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: Request, app_secret: Secret | None, limit_s: float | None) -> Reply | NoReply:
        """See `BlockingTransport.send`."""
        import httpx  # noqa: PLC0415 - see above

        if limit_s == 0:
            return _NO_TIME
        if self._client is None:
            arguments = _client_arguments(self._config, self._pins)
            self._client = httpx.AsyncClient(transport=self._own_transport, **arguments)
        arguments = _request_arguments(request, app_secret, self._config, limit_s)
        try:
            async with self._client.stream(**arguments) as response:
                body = _body(response, arguments["timeout"])
                async for part in response.aiter_bytes():
                    body.add(part)
                return reply_of(response, body.whole())
        except (httpx.TransportError, NotTaken) as error:
            return _no_reply(error)

    async def close(self) -> None:
        """See `BlockingTransport.close`."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _body(response: httpx.Response, limit_s: float) -> Body:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NotTaken("the reply is compressed, which was not asked for")
    return Body(REPLY_MAX_BYTES, limit_s)


def _blocking(transport: object) -> httpx.BaseTransport | None:
    if transport is None:
        return None
    import httpx  # noqa: PLC0415 - whoever made the transport has loaded it

    if not isinstance(transport, httpx.BaseTransport):
        raise InvalidConfig("Sdk needs a blocking httpx transport")
    return transport


def _asynchronous(transport: object) -> httpx.AsyncBaseTransport | None:
    if transport is None:
        return None
    import httpx  # noqa: PLC0415 - whoever made the transport has loaded it

    if not isinstance(transport, httpx.AsyncBaseTransport):
        raise InvalidConfig("AsyncSdk needs an async httpx transport")
    return transport


def _client_arguments(config: Config, pins: Callable[[], Pins]) -> dict[str, Any]:
    return client_arguments(config.base_url, _tls(config, pins), config.request_timeout_s)


def _tls(config: Config, pins: Callable[[], Pins]) -> ssl.SSLContext | None:
    if config.pins is None:
        return config.ssl_context
    import httpx  # noqa: PLC0415 - see above

    from unbroken.sdk.pinning import KeyCheck, pin  # noqa: PLC0415 - loads ssl, like httpx

    context = config.ssl_context or httpx.create_ssl_context(trust_env=False)  # the CAs that count without pins
    return pin(context, KeyCheck(config.host, pins, config.clock))


def _no_reply(error: Exception) -> NoReply:
    from unbroken.sdk.pinning import PinMismatch  # noqa: PLC0415 - see above

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PinMismatch):
            return WrongPeer(f"pin_mismatch: {cause}")
        cause = cause.__cause__ or cause.__context__
    return no_reply(error)


def _request_arguments(
    request: Request, app_secret: Secret | None, config: Config, limit_s: float | None
) -> dict[str, Any]:
    encoding = {"Accept-Encoding": "identity"} | ({"Content-Encoding": "gzip"} if request.is_gzip else {})
    headers = headers_of(request.body, request.idempotency_key, config.headers)
    return {
        "method": request.method,
        "url": request.path,
        "content": request.body or None,
        "headers": {**encoding, **headers},
        "auth": _authorizing(request, app_secret),
        "timeout": config.request_timeout_s if limit_s is None else min(config.request_timeout_s, limit_s),
    }


def _authorizing(request: Request, app_secret: Secret | None) -> Callable[[httpx.Request], httpx.Request]:
    """Puts the credential into a request as that is sent, as httpx asks it.

    So no frame of a traceback has it as an argument, whatever goes wrong. An `Authorization` of the app's own stays.
    """

    def authorize(sent: httpx.Request) -> httpx.Request:
        if request.authorization is not None and "Authorization" not in sent.headers:
            sent.headers["Authorization"] = _authorization(request.authorization, app_secret)
        if isinstance(request.authorization, Bearer) and request.authorization.key is not None:
            sent.headers[install_key.PROOF_HEADER] = _proof(request, request.authorization, request.authorization.key)
        return sent

    return authorize


def _proof(request: Request, bearer: Bearer, key: InstallKey) -> str:
    message = install_key.message_of(f"{request.method} {request.path}", bearer.credential.reveal())
    return install_key.write(key.sign(message))


def _authorization(authorization: AppSecret | Bearer, app_secret: Secret | None) -> str:
    match authorization:
        case Bearer(credential, _):
            return f"Bearer {credential.reveal()}"
        case AppSecret(app_id):
            pair = f"{app_id}:{cast('Secret', app_secret).reveal()}"
            return "Basic " + base64.b64encode(pair.encode()).decode()

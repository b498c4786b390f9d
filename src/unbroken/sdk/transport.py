"""Requests over HTTP with httpx, which is loaded when the first one is sent. No reply is a value, `NoReply`.

TLS comes in as an `ssl.SSLContext`, so that pinning is the context's business.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, cast

from unbroken import install_key
from unbroken.outgoing import NoReply, Reply, client_arguments, headers_of, no_reply
from unbroken.sdk.errors import InvalidConfig
from unbroken.sdk.exchange import AppSecret, Bearer, Request, WrongPeer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx

    from unbroken.outgoing.exchange import Bounds
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
            limit_s: how long it may take, from connecting to the last byte, where that is less than the config says;
                0 sends nothing.
        """
        from unbroken.outgoing.exchange import exchange  # noqa: PLC0415 - see _new_client

        if limit_s == 0:
            return _NO_TIME
        if self._client is None:
            self._client = self._new_client()
        asked = _request_arguments(request, app_secret, self._config)
        return exchange(self._client, asked, _bounds(request, self._config, limit_s), _no_reply)

    def _new_client(self) -> httpx.Client:
        import httpx  # noqa: PLC0415 - 150 ms at import, of no use to a process that never sends

        from unbroken.outgoing.deadline import TimedTransport  # noqa: PLC0415 - loads httpx

        tls = _tls(self._config, self._pins)
        transport = self._own_transport or TimedTransport(tls)
        return httpx.Client(transport=transport, **client_arguments(self._config.base_url, tls))

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
        from unbroken.outgoing.exchange import exchange_async  # noqa: PLC0415 - see above

        if limit_s == 0:
            return _NO_TIME
        if self._client is None:
            self._client = self._new_client()
        asked = _request_arguments(request, app_secret, self._config)
        return await exchange_async(self._client, asked, _bounds(request, self._config, limit_s), _no_reply)

    def _new_client(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415 - see above

        tls = _tls(self._config, self._pins)
        return httpx.AsyncClient(transport=self._own_transport, **client_arguments(self._config.base_url, tls))

    async def close(self) -> None:
        """See `BlockingTransport.close`."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _bounds(request: Request, config: Config, limit_s: float | None) -> Bounds:
    from unbroken.outgoing.exchange import Bounds, patience_s  # noqa: PLC0415 - see above

    patience = patience_s(config.request_timeout_s, request.body)
    return Bounds(REPLY_MAX_BYTES, patience if limit_s is None else min(patience, limit_s))


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


def _request_arguments(request: Request, app_secret: Secret | None, config: Config) -> dict[str, Any]:
    encoding = {"Content-Encoding": "gzip"} if request.is_gzip else {}
    headers = headers_of(request.body, request.idempotency_key, config.headers)
    return {
        "method": request.method,
        "url": request.path,
        "content": request.body or None,
        "headers": {**encoding, **headers},
        "auth": _authorizing(request, app_secret),
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

"""Requests over HTTP with httpx, which is loaded when the first one is sent. No reply is a value, `NoReply`.

TLS comes in as an `ssl.SSLContext`, so that pinning is the context's business. Environment proxies are not used: a
device that trusts its environment can be made to talk to somebody else.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

from unbroken.sdk.errors import InvalidConfig
from unbroken.sdk.exchange import AppSecret, Bearer, NoReply, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from unbroken.sdk.config import Config
    from unbroken.sdk.secret import Secret


class BlockingTransport:
    """One httpx client, made when it is first needed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: httpx.Client | None = None

    def send(self, request: Request, app_secret: Secret | None) -> Reply | NoReply:
        """Send and read the whole reply. `app_secret` is needed where the request asks for it."""
        import httpx  # noqa: PLC0415 - 150 ms at import, of no use to a process that never sends

        if self._client is None:
            transport = self._config.transport
            if transport is not None and not isinstance(transport, httpx.BaseTransport):
                raise InvalidConfig("Sdk needs a blocking httpx transport")
            self._client = httpx.Client(transport=transport, **_client_arguments(self._config))
        try:
            return _reply(self._client.request(**_request_arguments(request, app_secret, self._config)))
        except (httpx.TransportError, httpx.DecodingError) as error:
            return _no_reply(error)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncTransport:
    """The same on asyncio."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: Request, app_secret: Secret | None) -> Reply | NoReply:
        """See `BlockingTransport.send`."""
        import httpx  # noqa: PLC0415 - see above

        if self._client is None:
            transport = self._config.transport
            if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
                raise InvalidConfig("AsyncSdk needs an async httpx transport")
            self._client = httpx.AsyncClient(transport=transport, **_client_arguments(self._config))
        try:
            return _reply(await self._client.request(**_request_arguments(request, app_secret, self._config)))
        except (httpx.TransportError, httpx.DecodingError) as error:
            return _no_reply(error)

    async def close(self) -> None:
        """See `BlockingTransport.close`."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _client_arguments(config: Config) -> dict[str, Any]:
    return {
        "base_url": config.base_url,
        "verify": config.ssl_context if config.ssl_context is not None else True,
        "timeout": config.request_timeout_s,
        "trust_env": False,
        "follow_redirects": False,
    }


def _request_arguments(request: Request, app_secret: Secret | None, config: Config) -> dict[str, Any]:
    headers = {"Accept": "application/json", **_authorization(request, app_secret)}
    if request.body:
        headers["Content-Type"] = "application/json"
    if request.is_gzip:
        headers["Content-Encoding"] = "gzip"
    if request.idempotency_key is not None:
        headers["Idempotency-Key"] = request.idempotency_key
    further: Mapping[str, str] = config.headers() if config.headers is not None else {}
    return {
        "method": request.method,
        "url": request.path,
        "content": request.body or None,
        "headers": {**headers, **further},
    }


def _authorization(request: Request, app_secret: Secret | None) -> dict[str, str]:
    match request.authorization:
        case None:
            return {}
        case Bearer(credential):
            return {"Authorization": f"Bearer {credential.reveal()}"}
        case AppSecret(app_id):
            pair = f"{app_id}:{cast('Secret', app_secret).reveal()}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _reply(response: httpx.Response) -> Reply:
    retry_after = response.headers.get("Retry-After", "")
    return Reply(
        status=response.status_code,
        body=response.content,
        retry_after_s=int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
        ref=response.headers.get("X-Request-Id"),
    )


def _no_reply(error: Exception) -> NoReply:
    return NoReply(f"{type(error).__name__}: {error}")

"""The kit in five frameworks, each as its users mount it, on a real server and a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

import uvicorn
from werkzeug.serving import make_server

from unbroken.backend import AsyncPlatform, LinkEndpoint, Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASYNC = ("fastapi", "litestar", "starlette")
BLOCKING = ("django", "flask")
FRAMEWORKS = (*ASYNC, *BLOCKING)


def starlette(endpoint: LinkEndpoint) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/linking", endpoint)])


def fastapi(endpoint: LinkEndpoint) -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/linking", endpoint)
    return app


def litestar(endpoint: LinkEndpoint) -> Any:
    from litestar import Litestar, asgi
    from litestar.types import Receive, Scope, Send

    async def linking(scope: Scope, receive: Receive, send: Send) -> None:
        await endpoint(scope, receive, send)

    linking.__annotations__ = {"scope": Scope, "receive": Receive, "send": Send, "return": None}
    return Litestar(
        [asgi("/linking", is_mount=True, copy_scope=True)(linking)], openapi_config=None, logging_config=None
    )


def flask(platform: Platform, authenticate: Any, settings: dict[str, Any]) -> Any:
    from flask import Flask

    from unbroken.backend.flask import link_blueprint

    app = Flask("customer")
    app.register_blueprint(link_blueprint(platform, authenticate, **settings), url_prefix="/linking")
    return app


def django(platform: Platform, authenticate: Any, settings: dict[str, Any], *, is_asgi: bool = False) -> Any:
    import django
    from django.conf import settings as of_process
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import include, path

    from unbroken.backend.django import link_urls

    if not of_process.configured:
        middleware = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
        of_process.configure(SECRET_KEY="s" * 50, ALLOWED_HOSTS=["*"], MIDDLEWARE=middleware, ROOT_URLCONF="none")
        django.setup()
    urls: Any = ModuleType("urls")
    urls.urlpatterns = [path("linking/", include(link_urls(platform, authenticate, **settings)))]

    class Handler:
        """One of several applications of this process; Django knows one."""

        def resolve_request(self, request: Any) -> Any:
            request.urlconf = urls
            return super().resolve_request(request)  # type: ignore[misc]

    return type("Own", (Handler, ASGIHandler if is_asgi else WSGIHandler), {})()


@contextmanager
def serving(
    framework: str, base_url: str, authenticate: Any, *, api_key: str, options: Any, **settings: Any
) -> Iterator[str]:
    """A customer's server in this framework; its URL."""
    if framework == "django under ASGI":
        with (
            Platform(base_url, api_key=api_key, options=options) as platform,
            _asgi(django(platform, authenticate, settings, is_asgi=True), nullcontext()) as url,
        ):
            yield url
        return
    if framework in BLOCKING:
        with Platform(base_url, api_key=api_key, options=options) as platform:
            make = {"django": django, "flask": flask}[framework]
            with _wsgi(make(platform, authenticate, settings)) as url:
                yield url
        return
    platform = AsyncPlatform(base_url, api_key=api_key, options=options)
    make = {"fastapi": fastapi, "litestar": litestar, "starlette": starlette}[framework]
    with _asgi(make(LinkEndpoint(platform, authenticate, **settings)), platform) as url:
        yield url


@contextmanager
def _asgi(app: Any, platform: AbstractAsyncContextManager[Any]) -> Iterator[str]:
    place = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))

    async def serve() -> None:
        async with platform:
            await server.serve([place])

    with _running(lambda: asyncio.run(serve()), lambda: setattr(server, "should_exit", True)):
        yield f"http://127.0.0.1:{place.getsockname()[1]}"


@contextmanager
def _wsgi(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with _running(lambda: server.serve_forever(poll_interval=0.01), server.shutdown):
        yield f"http://127.0.0.1:{server.server_port}"
    server.server_close()


@contextmanager
def _running(run: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    """The socket listens already, so whoever connects waits until the server is there."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(10)
        assert not thread.is_alive()

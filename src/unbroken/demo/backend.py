"""The customer's server of the demo: a login, the app's settings for who is logged in, and the backend kit's linking.

    python -m unbroken.demo.backend PORT      with UNBROKEN_URL, UNBROKEN_APP_ID, UNBROKEN_APP_SECRET, UNBROKEN_API_KEY
                                              and DEMO_PASSWORD in the environment

The account comes from the session, never from what the app says. That is all a customer has to build.
"""

from __future__ import annotations

import hmac
import os
import sys
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from unbroken.backend import AsyncPlatform, LinkEndpoint
from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

ACCOUNT: Final = "robin"


def create(settings: Mapping[str, str]) -> Starlette:
    """The server; `settings` are the environment variables of the module."""
    sessions: dict[str, str] = {}

    def current_account(headers: Mapping[str, str]) -> str | None:
        return sessions.get(headers.get("authorization", "").removeprefix("Bearer "))

    async def login(request: Request) -> JSONResponse:
        given = await request.json()
        if given.get("name") != ACCOUNT or not hmac.compare_digest(given.get("password"), settings["DEMO_PASSWORD"]):
            return JSONResponse({"error": "no such account"}, 403)
        session = SystemRandomness().secret(24).hex()
        sessions[session] = f"account:{ACCOUNT}"
        return JSONResponse({"session": session})

    async def app_settings(request: Request) -> JSONResponse:
        """The app secret is handed out at run time, to who is logged in; it is not part of the app."""
        if current_account(request.headers) is None:
            return JSONResponse({"error": "log in first"}, 401)
        return JSONResponse({"app_id": settings["UNBROKEN_APP_ID"], "app_secret": settings["UNBROKEN_APP_SECRET"]})

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse({"ready": True})

    platform = AsyncPlatform(settings["UNBROKEN_URL"], api_key=settings["UNBROKEN_API_KEY"])
    linking = LinkEndpoint(platform, authenticate=lambda request: current_account(request.headers))
    return Starlette(
        routes=[
            Route("/ready", ready),
            Route("/login", login, methods=["POST"]),
            Route("/app-settings", app_settings),
            Mount("/linking", linking),
        ]
    )


if __name__ == "__main__":
    uvicorn.run(create(os.environ), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

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


class CustomersServer:
    """The server.

    Args:
        settings: the environment variables of the module.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._sessions: dict[str, str] = {}

    def application(self) -> Starlette:
        """What is called where."""
        platform = AsyncPlatform(self._settings["UNBROKEN_URL"], api_key=self._settings["UNBROKEN_API_KEY"])
        linking = LinkEndpoint(platform, authenticate=lambda request: self._current_account(request.headers))
        return Starlette(
            routes=[
                Route("/ready", self._ready),
                Route("/login", self._login, methods=["POST"]),
                Route("/app-settings", self._app_settings),
                Mount("/linking", linking),
            ]
        )

    def _current_account(self, headers: Mapping[str, str]) -> str | None:
        return self._sessions.get(headers.get("authorization", "").removeprefix("Bearer "))

    async def _login(self, request: Request) -> JSONResponse:
        given = await request.json()
        password = self._settings["DEMO_PASSWORD"]
        if given.get("name") != ACCOUNT or not hmac.compare_digest(given.get("password"), password):
            return JSONResponse({"error": "no such account"}, 403)
        session = SystemRandomness().secret(24).hex()
        self._sessions[session] = f"account:{ACCOUNT}"
        return JSONResponse({"session": session})

    async def _app_settings(self, request: Request) -> JSONResponse:
        """The app secret is handed out at run time, to who is logged in; it is not part of the app."""
        if self._current_account(request.headers) is None:
            return JSONResponse({"error": "log in first"}, 401)
        app = {"app_id": self._settings["UNBROKEN_APP_ID"], "app_secret": self._settings["UNBROKEN_APP_SECRET"]}
        return JSONResponse(app)

    async def _ready(self, _: Request) -> JSONResponse:
        return JSONResponse({"ready": True})


if __name__ == "__main__":
    application = CustomersServer(os.environ).application()
    uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

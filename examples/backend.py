"""A customer's server: people sign in with a password, and the phones they sign in on are linked to their accounts.

    export UNBROKEN_API_KEY=... UNBROKEN_APP_ID=... UNBROKEN_APP_SECRET=...
    python examples/backend.py --port 8001 --platform http://127.0.0.1:8080

What is about Unbroken stands first: a mounted `LinkEndpoint`, and `/config` for people who are signed in. The rest is a
login like any other. Accounts are forgotten when the server stops; yours are in a database.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import os
import secrets  # noqa: TID251 - an application of its own, not a part of Unbroken
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from unbroken.backend import AsyncPlatform, LinkEndpoint
from unbroken.backend import Request as LinkRequest

if TYPE_CHECKING:
    from starlette.requests import Request

SESSION_COOKIE = "session"
SESSION_LIFE_S = 12 * 3600
BODY_MAX_BYTES = 4096


class Shop:
    """The whole server.

    Args:
        app: what an app needs to start the SDK: app id, app secret, the platform's address.
    """

    def __init__(self, platform: AsyncPlatform, app: dict[str, str]) -> None:
        self.accounts = Accounts()
        self._platform = platform
        self._app = app

    def application(self) -> Starlette:
        """What is called where."""
        routes = [
            Mount("/linking", LinkEndpoint(self._platform, self.current_account)),
            Route("/config", self.config),
            Route("/signup", self.sign_up, methods=["POST"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: refuse})

    def current_account(self, request: LinkRequest) -> str | None:
        """Who is signed in. This alone decides to whom an install is linked; the app has no say in it."""
        return self.accounts.signed_in(request.cookies.get(SESSION_COOKIE, ""))

    async def config(self, request: Request) -> Response:
        """What an app needs to start the SDK. It is no part of the app, and nobody gets it who is not signed in."""
        if self.accounts.signed_in(request.cookies.get(SESSION_COOKIE, "")) is None:
            raise HTTPException(401, "Sign in first.")
        return JSONResponse(self._app, headers={"Cache-Control": "no-store"})

    async def sign_up(self, request: Request) -> Response:
        """A new account, signed in."""
        account = await asyncio.to_thread(self.accounts.create, *await email_and_password(request))
        if account is None:
            raise HTTPException(409, "There is an account of this address.")
        return self._start_session(request, account)

    async def login(self, request: Request) -> Response:
        """Sign in."""
        account = await asyncio.to_thread(self.accounts.check, *await email_and_password(request))
        if account is None:
            raise HTTPException(401, "Wrong address or password.")
        return self._start_session(request, account)

    async def logout(self, request: Request) -> Response:
        """Sign out."""
        self.accounts.close_session(request.cookies.get(SESSION_COOKIE, ""))
        return Response(status_code=204)

    def _start_session(self, request: Request, account: Account) -> Response:
        response = JSONResponse({"account": account.external_id})
        is_secure = request.url.scheme == "https"
        token = self.accounts.open_session(account)
        response.set_cookie(SESSION_COOKIE, token, SESSION_LIFE_S, secure=is_secure, httponly=True, samesite="lax")
        return response


async def email_and_password(request: Request) -> tuple[str, str]:
    """What someone typed. Only as JSON: a page of another site cannot send that with somebody's cookie."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise HTTPException(413, "Too long.")
    try:
        typed = _CREDENTIALS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise HTTPException(400, "Send an email and a password of at least 8 characters.") from None
    return typed.email.strip().lower(), typed.password


async def refuse(_: Request, error: Exception) -> Response:
    """An error as JSON."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"message": error.detail}, error.status_code)


class Credentials(msgspec.Struct, frozen=True):
    """The body of a sign-up or login."""

    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254)]
    password: Annotated[str, msgspec.Meta(min_length=8, max_length=1024)]


_CREDENTIALS = msgspec.json.Decoder(Credentials)


@dataclass(frozen=True, slots=True)
class Account:
    """Someone with a login. The external id is a random one: an address changes, the person does not."""

    external_id: str
    salt: bytes
    password_hash: bytes


@dataclass(slots=True)
class Accounts:
    """Accounts by e-mail address; sessions by the hash of their token, with the account and the end."""

    by_email: dict[str, Account] = field(default_factory=dict)
    sessions: dict[bytes, tuple[str, float]] = field(default_factory=dict)

    def create(self, email: str, password: str) -> Account | None:
        """A new account, or None if the address has one."""
        salt = secrets.token_bytes(16)
        account = Account(f"acc-{secrets.token_hex(12)}", salt, hash_password(password, salt))
        return account if self.by_email.setdefault(email, account) is account else None

    def check(self, email: str, password: str) -> Account | None:
        """The account, if this is its password. An unknown address takes as long as a wrong password."""
        account = self.by_email.get(email)
        salt, expected = (account.salt, account.password_hash) if account else (bytes(16), bytes(64))
        return account if hmac.compare_digest(hash_password(password, salt), expected) else None

    def open_session(self, account: Account) -> str:
        """A token for the cookie."""
        token = secrets.token_urlsafe(32)
        self.sessions[hash_token(token)] = (account.external_id, time.monotonic() + SESSION_LIFE_S)
        return token

    def close_session(self, token: str) -> None:
        """Sign out."""
        self.sessions.pop(hash_token(token), None)

    def signed_in(self, token: str) -> str | None:
        """The external id of the account whose session this is."""
        external_id, until_s = self.sessions.get(hash_token(token), (None, 0.0))
        if time.monotonic() < until_s:
            return external_id
        self.close_session(token)
        return None


def hash_password(password: str, salt: bytes) -> bytes:
    """Slow on purpose, and 16 MiB of memory each, so that a stolen list is of little use."""
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=2**14, r=8, p=5)


def hash_token(token: str) -> bytes:
    """A token is long and random, so a fast hash will do."""
    return hashlib.sha256(token.encode()).digest()


def main() -> None:
    """Run the server on loopback."""
    parser = argparse.ArgumentParser(description="A customer's server that links its people's phones.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--platform", default="http://127.0.0.1:8080", help="base URL of the platform; %(default)s")
    arguments = parser.parse_args()
    platform = AsyncPlatform(arguments.platform, api_key=os.environ["UNBROKEN_API_KEY"])
    app_id, app_secret = os.environ["UNBROKEN_APP_ID"], os.environ["UNBROKEN_APP_SECRET"]
    shop = Shop(platform, {"app_id": app_id, "app_secret": app_secret, "platform_url": platform.base_url})
    uvicorn.run(shop.application(), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()

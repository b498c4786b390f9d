"""A platform in memory that speaks the part of the Backend API that the kit calls, and the kit's two shells on it."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
from typing import Any

import httpx
import pytest

from unbroken.backend import AsyncPlatform, Options, Platform, Retry

API_KEY = "unb_key_0123456789abcdef0123456789abcdef"
NOW = "2026-11-23T21:12:54.000+00:00"
AT_ONCE = Retry(pause_first_s=0.0)


def an_id(n: int) -> str:
    return f"{n:024x}"


class FakePlatform:
    """Links installs to external ids; everything else it answers is put there by the test."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.bodies: list[Any] = []
        self.linked: dict[str, str] = {}
        self.codes: dict[str, str] = {}
        self.replies: dict[str, tuple[Any, dict[str, str]]] = {}
        self.answers: list[httpx.Response | Exception] = []
        self.lose_next_reply = False
        self.knows_repeats = True
        self._kept: dict[str, Any] = {}
        self._count = itertools.count(1)

    def refuse_next(self, status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        body = {"message": "It cannot be.", "errorCode": code, "ref": "ref-1", **more}
        self.answers.append(httpx.Response(status, json=body, headers=headers))

    def fall_silent(self, times: int) -> None:
        self.answers += [httpx.ConnectError("no network") for _ in range(times)]

    def reply_to(self, path: str, body: Any, **headers: str) -> None:
        self.replies[path] = (body, {name.replace("_", "-"): value for name, value in headers.items()})

    def accounts_named(self) -> set[str]:
        return set(self.linked.values()) | set(self.codes.values())

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(json.loads(request.content) if request.content else None)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            return self._problem(401, "UNAUTHENTICATED")
        key = request.headers.get("Idempotency-Key")
        if key is not None and key in self._kept:
            return httpx.Response(200, json=self._kept[key])
        reply, headers = self._route(request.method, request.url.path, request.url.params, self.bodies[-1])
        if reply is None:
            return self._problem(404, "NOT_FOUND")
        if key is not None:
            self._kept[key] = reply
        if self.lose_next_reply:
            self.lose_next_reply = False
            raise httpx.ReadError("cut")
        return httpx.Response(200, json=reply, headers={"X-Request-Id": "ref-0", **headers})

    def _route(self, method: str, path: str, query: Any, body: Any) -> tuple[Any, dict[str, str]]:
        if method == "POST" and path.startswith("/v2/users/") and path.endswith("/link"):
            install_id = path.split("/")[3]
            told = {"id": an_id(7), "person_id": an_id(7), "link_id": an_id(8), "state": "active", "state_reason": None}
            if "dry_run" in query:
                if self.linked.get(install_id) == body["external_id"]:
                    return {**told, "dry_run": True, "is_repeat": True}, {}
                if body.get("repeat_only") and self.knows_repeats:
                    return None, {}
                return {**told, "dry_run": True, "summary": {"installs": [], "activations": [], "days": []}}, {}
            self.linked[install_id] = body["external_id"]
            return told, {}
        if method == "POST" and path == "/users/auth-code":
            code = f"unb_code_{next(self._count)}"
            self.codes[code] = body["external_id"]
            return {"authentication_code": code, "expires_at": NOW}, {}
        return self.replies.get(path, (None, {}))

    @staticmethod
    def _problem(status: int, code: str) -> httpx.Response:
        return httpx.Response(status, json={"message": "It cannot be.", "errorCode": code, "ref": "ref-1"})

    def options(self, **settings: Any) -> Options:
        return Options(**{"transport": httpx.MockTransport(self.handle), "retry": AT_ONCE, **settings})


class Awaited:
    """An AsyncPlatform that is called like a Platform: each coroutine is run to its end on one loop."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name == "users":
            return Awaited(value, self._runner)
        return (lambda *a, **k: self._run(value(*a, **k))) if callable(value) else value

    def _run(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            return self._runner.run(_awaited(value))
        return iter(self._runner.run(_listed(value))) if hasattr(value, "__aiter__") else value


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def _listed(iterator: Any) -> list[Any]:
    return [item async for item in iterator]


@pytest.fixture
def fake() -> FakePlatform:
    return FakePlatform()


@pytest.fixture(params=["blocking", "asyncio"])
def open_kit(request: pytest.FixtureRequest, fake: FakePlatform):
    """Opens a kit of either shell on the fake platform."""
    with asyncio.Runner() as runner:
        opened: list[Any] = []

        def kit(api_key: str = API_KEY, **settings: Any) -> Any:
            if request.param == "blocking":
                opened.append(Platform("http://127.0.0.1:1", api_key=api_key, options=fake.options(**settings)))
            else:
                target = AsyncPlatform("http://127.0.0.1:1", api_key=api_key, options=fake.options(**settings))
                opened.append(Awaited(target, runner))
            return opened[-1]

        yield kit
        for one in opened:
            one.close()


@pytest.fixture
def kit(open_kit: Any) -> Any:
    return open_kit()

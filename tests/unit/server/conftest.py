from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from unbroken import wire
from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.flow import administer, keys
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.server import logs, table
from unbroken.server.app import Application
from unbroken.server.logs import RequestLog
from unbroken.server.metrics import Metrics
from unbroken.server.request_ids import RequestIds
from unbroken.server.route import Answer, Call, Credential, Query, Route
from unbroken.store.contract import StoreUnavailable
from unbroken.store.sqlite import SqliteStore
from unbroken.testing.in_process import KEY_RING

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId
    from unbroken.server.counting import Counting

NOW_MS = 1_790_000_000_000


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["errorCode"]

    @property
    def paths(self) -> list[str]:
        return [error["path"] for error in self.json.get("errors", [])]


@dataclass
class Api:
    """An application with a few made-up rows, called without a socket."""

    application: Application
    metrics: Metrics
    calls: list[Call] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        client: str | None = None,
    ) -> Reply:
        chunks = [body] if isinstance(body, bytes) else list(body)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        raw_path, _, query = path.encode().partition(b"?")
        scope = {
            "type": "http",
            "method": method,
            "path": raw_path.decode("latin-1"),
            "raw_path": raw_path,
            "query_string": query,
            "client": None if client is None else (client, 51_034),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        }
        self.unread = chunks
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not self.unread:
                return {"type": "http.disconnect"}
            chunk = self.unread.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self.unread)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        reply_headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], reply_headers, sent[1]["body"])


def row(**given: Any) -> Route:
    usual = {"method": "POST", "credential": Credential.NONE, "scope": None, "summary": "A call.", "reply": None}
    return Route(**{**usual, **given})


def made_up_rows(calls: list[Call]) -> list[Route]:
    async def echo(_: Context, call: Call) -> Any:
        calls.append(call)
        return {"path": dict(call.path), "body": call.body, "query": {k: str(v) for k, v in call.query.items()}}

    async def fail(_: Context, __: Call) -> Any:
        raise ZeroDivisionError("unb_key_0123456789abcdef broke\nthe line")

    async def full(_: Context, __: Call) -> Any:
        raise StoreUnavailable("The disk is full.")

    async def nothing(_: Context, __: Call) -> Answer:
        return Answer(None, headers={"x-extra": "1"})

    window = (
        Query("from", "day", required=True, summary="First day."),
        Query("at", "instant", required=False, summary="When."),
        Query("limit", "integer", required=False, summary="How many."),
        Query("types", "text", required=False, summary="Which.", choices=("all",)),
    )
    return [
        row(path="/echo", handler=echo, reply=Any, request=Any, keyed=True),
        row(path="/register", handler=echo, reply=Any, request=wire.Register, keyed=True),
        row(path="/dry", handler=echo, reply=Any, has_dry_run=True),
        row(path="/wet", handler=echo, reply=Any),
        row(path="/fail", handler=fail, reply=Any),
        row(path="/full", handler=full, reply=Any),
        row(path="/nothing", handler=nothing, status=204),
        row(method="GET", path="/things/me", handler=echo, reply=Any),
        row(method="GET", path="/things/{thing_id}", handler=echo, reply=Any),
        row(method="DELETE", path="/things/{thing_id}", handler=echo, reply=Any),
        row(method="GET", path="/things/{thing_id}/parts/{part}", handler=echo, reply=Any),
        row(method="GET", path="/window", handler=echo, reply=Any, query=window),
        row(
            path="/installs", handler=echo, reply=Any, request=wire.Register, credential=Credential.APP_SECRET_OR_CODE,
            keyed=True, does="register",
        ),
        row(path="/link", handler=echo, reply=Any, credential=Credential.API_KEY, scope=Scope.USER_LINK, does="link"),
        row(path="/renew", handler=echo, reply=Any, credential=Credential.INSTALL_CREDENTIAL, does="renew"),
        row(path="/own", handler=echo, reply=Any, credential=Credential.USER_TOKEN, does="ask"),
        row(
            path="/either", handler=echo, reply=Any, credential=Credential.KEY_OR_OWN_TOKEN, scope=Scope.USER_READ,
            does="read",
        ),
    ]  # fmt: skip


class World:
    """A platform's parts on a store of their own, for as long as one test."""

    def __init__(self, context: Context, api: Api) -> None:
        self.context = context
        self.api = api
        self.counting: Counting | None = None

    async def app(self) -> administer.CreatedApp:
        return await administer.create_app(self.context, "Test")

    @property
    def platform(self) -> Api:
        """The rows of the platform itself instead of the made-up ones."""
        metrics = Metrics()
        ids = RequestIds(SystemRandomness())
        log = RequestLog(enabled=False)
        built = Application(
            self.context, table.api(), metrics=metrics, request_log=log, request_ids=ids, counting=self.counting
        )
        return Api(built, metrics)

    async def key(self, app_id: AppId, *scopes: Scope) -> str:
        made = await keys.create_key(self.context, app_id, "Test", scopes or tuple(Scope))
        return made.api_key


@asynccontextmanager
async def open_world(tmp_path: Any, **application: Any) -> Any:
    store = await SqliteStore.open(tmp_path / "test.db", keys=KEY_RING)
    context = Context(
        store=store,
        log=EmbeddedLog(store),
        clock=ManualClock(NOW_MS),
        wall=SystemClock(),
        randomness=SystemRandomness(),
        vault=Vault(b"p" * 32, b"s" * 32),
        standings=Standings(),
        lab=False,
    )
    calls: list[Call] = []
    metrics = Metrics()
    parts = {
        "metrics": metrics,
        "request_log": RequestLog(enabled=False),
        "request_ids": RequestIds(SystemRandomness()),
    }
    built = Application(context, made_up_rows(calls), **{**parts, **application})
    try:
        yield World(context, Api(built, metrics, calls))
    finally:
        await store.close()


@pytest.fixture
def world(tmp_path: Any) -> Any:
    """Runs an async function in a world: `world(lambda w: ...)`."""

    def run(step: Any, **application: Any) -> Any:
        async def whole() -> Any:
            async with open_world(tmp_path, **application) as opened:
                return await step(opened)

        return asyncio.run(whole())

    return run


@pytest.fixture
def send(world: Any) -> Any:
    """Sends one request to a world of its own."""

    def one(*args: Any, **named: Any) -> Reply:
        return world(lambda opened: opened.api.send(*args, **named))

    return one


@pytest.fixture
def log_output() -> Any:
    """What the platform's log says, as it would stand on standard error."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    output = io.StringIO()
    logs.configure("info", lab=False, stream=output)
    yield output
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)

"""Once it was said that a key, an app, a credential, an install or a user has ended, nothing succeeds with it.

A thousand requests over a thousand connections are sent before the first reply is read, spread over all servers; once
before the end, when all of them succeed, and once as soon as it was acknowledged, when none does.
"""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.end_to_end.servers import one_or_two
from tests.model.api import PHONE, Api, App, Connection, bearer, random_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from unbroken.testing.postgres import Schemas
    from unbroken.testing.process import PlatformProcess

FEW, MANY = 100, 1_000
TIMEOUT_S = 120.0
LATER_MS = 4_000_000_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked with the credential that ends."""

    method: str
    path: str
    authorization: str
    body: dict[str, Any] | None = None

    def encoded(self, host: str) -> bytes:
        content = b"" if self.body is None else json.dumps(self.body).encode()
        head = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}", f"Authorization: {self.authorization}"]
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}", "Connection: close", "", ""]
        return "\r\n".join(head).encode() + content


@dataclass(frozen=True, slots=True)
class World:
    """An account with one install, on all servers."""

    servers: list[PlatformProcess]
    app: App
    api: Api
    account: str
    install: dict[str, Any]

    @classmethod
    def begin(cls, servers: list[PlatformProcess], app: App, api: Api, account: str) -> World:
        install = api.register(app.basic, PHONE).json
        done(api.link(app.bearer, install["install_id"], account))
        return cls(servers, app, api, account, install)

    @property
    def token(self) -> str:
        return bearer(self.install["user_token"]["token"])

    def of_a_key(self, authorization: str) -> list[Request]:
        user_id, install_id = self.install["user_id"], self.install["install_id"]
        return [
            Request("GET", f"/v2/users/{user_id}", authorization),
            Request("GET", f"/v3/users?external_id={self.account}", authorization),
            Request("POST", f"/v2/users/{install_id}/link", authorization, {"external_id": self.account}),
            Request("POST", "/users/auth-code", authorization, {"external_id": self.account}),
        ]

    def of_a_token(self) -> list[Request]:
        return [
            Request("GET", "/v2/users/me", self.token),
            Request("PUT", "/sdk/metadata", self.token, {"colour": "blue"}),
        ]

    def uploading(self) -> Request:
        item = {"kind": "location", "t": LATER_MS, "lat": 51.0, "lon": 3.7}
        payload = {"payload_id": random_uuid("revoked", 0, 0), "items": [item]}
        return Request("POST", "/sdk/payloads", self.token, {"sent_at": LATER_MS, "payloads": [payload]})

    def new_key(self) -> dict[str, str]:
        scopes = [word for scope in ("read", "link") for word in ("--scope", f"user.{scope}")]
        words = ("key", "create", "--app", self.app.app_id, "--name", "short-lived", *scopes)
        made: dict[str, str] = self.servers[0].command(*words)
        return made


Ending = tuple[list[Request], "Callable[[], object]"]
"""What succeeds before, and how it ends."""


def a_revoked_key(world: World) -> Ending:
    key = world.new_key()
    return world.of_a_key(bearer(key["api_key"])), lambda: world.servers[0].command("key", "revoke", key["key_id"])


def a_key_that_was_found(world: World) -> Ending:
    key = world.new_key()["api_key"]
    return world.of_a_key(bearer(key)), lambda: found(world, key)


def a_disabled_app(world: World) -> Ending:
    registering = Request(
        "POST", "/sdk/installs", world.app.basic, {"device": PHONE, "sdk": {"name": "x", "version": "1"}}
    )
    requests = [registering, *world.of_a_key(world.app.bearer), *world.of_a_token()]
    return requests, lambda: world.servers[0].command("app", "disable", world.app.app_id)


def a_reset_install(world: World) -> Ending:
    credential = bearer(world.install["install_credential"])
    return [*world.of_a_token(), world.uploading()], lambda: done(world.api.reset(credential.removeprefix("Bearer ")))


def a_disabled_install(world: World) -> Ending:
    path = f"/v3/installs/{world.install['install_id']}/state"
    return world.of_a_token(), lambda: done(world.api.send("PUT", path, world.app.bearer, {"state": "disabled"}))


def a_disabled_user(world: World) -> Ending:
    path = f"/v3/users/{world.install['user_id']}/state"
    return world.of_a_token(), lambda: done(world.api.send("PUT", path, world.app.bearer, {"state": "disabled"}))


def an_erased_user(world: World) -> Ending:
    user_id = world.install["user_id"]
    requests = [*world.of_a_token(), world.uploading(), Request("GET", f"/v2/users/{user_id}", world.app.bearer)]
    return requests, lambda: done(world.api.erase(world.app.bearer, user_id))


ENDINGS = (
    a_revoked_key, a_key_that_was_found, a_reset_install, a_disabled_install, a_disabled_user, an_erased_user,
    a_disabled_app,
)  # fmt: skip
"""The app's end is everybody's, so it comes last."""


def done(reply: Any) -> None:
    assert reply.status < 300, reply


def found(world: World, text: str) -> None:
    done(world.api.send("POST", "/security/leaked-tokens", None, {"tokens": [text]}))


def statuses(servers: Sequence[PlatformProcess], requests: Sequence[Request], count: int) -> list[int]:
    """Every request is sent, each over a connection of its own to the next server, before a reply is read."""
    hosts = [urlsplit(server.base_url) for server in servers]
    with ExitStack() as held:
        sent = []
        for place in range(count):
            host = hosts[place % len(hosts)]
            one = held.enter_context(closing(socket.create_connection((host.hostname, host.port), TIMEOUT_S)))
            one.sendall(requests[place // len(hosts) % len(requests)].encoded(host.netloc))
            sent.append(one)
        return [status_of(one) for one in sent]


def status_of(connection: socket.socket) -> int:
    with connection.makefile("rb") as reply:
        status = int(reply.readline().split()[1])
        assert status < 500, reply.read()
        return status


def ends_at_once(tmp_path: Path, count: int, database_url: str | None = None) -> None:
    with ExitStack() as held:
        servers, app = held.enter_context(one_or_two(tmp_path, database_url))
        api = Api(held.enter_context(closing(Connection(servers[0].base_url))), lab=False)
        gives_nobody_a_token(World.begin(servers, app, api, "copied"), count)
        for ending in ENDINGS:
            requests, end = ending(World.begin(servers, app, api, ending.__name__))
            before = statuses(servers, requests, count)
            assert {status // 100 for status in before} == {2}, ending
            end()
            after = statuses(servers, requests, count)
            assert set(after) <= {401, 403, 404, 410}, ending
            assert len(after) == count


def gives_nobody_a_token(world: World, count: int) -> None:
    """An install credential can be spent once anyhow: what was found is the one that it was exchanged for."""
    renewed = world.api.tokens(world.install["install_credential"])
    done(renewed)
    credential = renewed.json["install_credential"]
    found(world, credential)
    assert statuses(world.servers, [Request("POST", "/sdk/tokens", bearer(credential))], count) == [409] * count


def test_nothing_succeeds_with_what_has_ended(tmp_path: Path) -> None:
    ends_at_once(tmp_path, FEW)


def test_nothing_succeeds_on_either_of_two_servers_with_what_has_ended_on_one(tmp_path: Path, schemas: Schemas) -> None:
    ends_at_once(tmp_path, FEW, schemas.create())


@pytest.mark.prove
def test_of_a_thousand_requests_none_succeeds_with_what_has_ended(tmp_path: Path) -> None:
    ends_at_once(tmp_path, MANY)
    print(f"\n{MANY} requests after each of {1 + len(ENDINGS)} endings, and none succeeded")


@pytest.mark.prove
def test_of_a_thousand_requests_to_two_servers_none_succeeds_with_what_has_ended(
    tmp_path: Path, schemas: Schemas
) -> None:
    ends_at_once(tmp_path, MANY, schemas.create())
    print(f"\n{MANY} requests to two servers after each of {1 + len(ENDINGS)} endings, and none succeeded")

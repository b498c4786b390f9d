"""Revocation: once it was said that a key is revoked, no call with it changes anything, however it was begun before.

Each call here has sent its head, and was let in: the server asks for the body (100 Continue). The bodies follow when
the revocation was acknowledged.
"""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.end_to_end.servers import one_or_two
from tests.model.api import PHONE, Api, App, Connection, create_app

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.testing.postgres import Schemas

AT_ONCE = 100
TIMEOUT_S = 60.0


class Begun:
    """A call whose head was sent, and whose caller was let in."""

    def __init__(self, base_url: str, method: str, path: str, credential: str, body: dict[str, object]) -> None:
        parts = urlsplit(base_url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
        self._body = json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {credential}\r\n"
            f"Content-Length: {len(self._body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        self._replies = self._socket.makefile("rb")

    def is_let_in(self) -> bool:
        status = self._replies.readline()
        return status.startswith(b"HTTP/1.1 100") and self._replies.readline() == b"\r\n"

    def end(self) -> int:
        """Send the body; the status of the reply."""
        self._socket.sendall(self._body)
        status = int(self._replies.readline().split()[1])
        self._replies.read()
        return status

    def close(self) -> None:
        self._replies.close()
        self._socket.close()


def test_a_body_that_comes_after_the_revocation_changes_nothing(tmp_path: Path) -> None:
    revoke_under_way(tmp_path, rounds=1)


def test_a_body_that_comes_after_the_revocation_changes_nothing_on_two_servers(
    tmp_path: Path, schemas: Schemas
) -> None:
    revoke_under_way(tmp_path, rounds=1, database_url=schemas.create())


@pytest.mark.prove
def test_a_thousand_bodies_that_come_after_the_revocation_change_nothing(tmp_path: Path) -> None:
    revoke_under_way(tmp_path, rounds=10)
    print("\n1,000 calls that were under way changed nothing")


@pytest.mark.prove
def test_a_thousand_bodies_change_nothing_on_two_servers(tmp_path: Path, schemas: Schemas) -> None:
    revoke_under_way(tmp_path, rounds=10, database_url=schemas.create())
    print("\n1,000 calls that were under way on two servers changed nothing")


def revoke_under_way(tmp_path: Path, rounds: int, database_url: str | None = None) -> None:
    with ExitStack() as held:
        servers, app = held.enter_context(one_or_two(tmp_path, database_url, link_burst="100000"))
        api = Api(held.enter_context(closing(Connection(servers[0].base_url))), lab=False)
        for _ in range(rounds):
            one_round(servers, api, app)


def one_round(servers: list[PlatformProcess], api: Api, app: App) -> None:
    words = ("key", "create", "--app", app.app_id, "--name", "short-lived", "--scope", "user.link")
    key = servers[0].command(*words)
    installs = [api.register(app.basic, PHONE).json for _ in range(AT_ONCE)]
    before = servers[0].command("audit", "list", "--limit", "1")["entries"][0]["position"]
    with ExitStack() as held:
        begun = []
        for place, install in enumerate(installs):
            path, body = f"/v2/users/{install['install_id']}/link", {"external_id": f"account-{place}"}
            if place % 4 == 0:
                path = "/users/auth-code"
            url = servers[place % len(servers)].base_url
            begun.append(held.enter_context(closing(Begun(url, "POST", path, key["api_key"], body))))
        assert all(call.is_let_in() for call in begun)
        servers[0].command("key", "revoke", key["key_id"])
        assert {call.end() for call in begun} == {401}
    entries = servers[0].command("audit", "list", "--limit", "10")["entries"]
    assert [one["what"] for one in entries if one["position"] > before] == ["key revoked"]
    assert not any(api.own_state(one["user_token"]["token"]).json["linked"] for one in installs)


def test_what_is_sent_slowly_is_let_in_anew_before_it_is_stored(tmp_path: Path) -> None:
    """Uploads are not written under the writer's eye: who takes longer than a second is looked at once more."""
    with PlatformProcess(tmp_path / "data", lab=False) as server, ExitStack() as held:
        app = create_app(server, "app")
        api = Api(held.enter_context(closing(Connection(server.base_url))), lab=False)
        token = api.register(app.basic, PHONE).json["user_token"]["token"]
        upload = {"sent_at": 0, "payloads": []}
        begun = held.enter_context(closing(Begun(server.base_url, "POST", "/sdk/payloads", token, upload)))
        assert begun.is_let_in()
        server.command("app", "disable", app.app_id)  # a command takes longer than a second, or the next does
        server.command("app", "list")
        server.command("app", "list")
        assert begun.end() == 403

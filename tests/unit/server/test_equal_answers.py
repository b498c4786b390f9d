"""What belongs to another app is as if it did not exist: the same answer, and the same work to find it out."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter

import pytest

from unbroken.domain.app import Scope
from unbroken.store.sqlite.transaction import SqliteTransaction

PHONE = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
DAYS = "from=2026-11-01&to=2026-11-29"
INSTANTS = "from=2026-11-01T00:00:00Z&to=2026-11-29T00:00:00Z"
UNKNOWN = "69236a2e5f3c1b0a9d8e7f60"
CALLS = [
    ("GET", "/v2/users/{user_id}", None),
    ("GET", f"/v2/users/{{user_id}}/events?{DAYS}", None),
    ("GET", "/v2/users/{user_id}/location", None),
    ("GET", "/v3/users/{user_id}/installs", None),
    ("GET", "/v3/users/{user_id}/ledger", None),
    ("GET", f"/v3/users/{{user_id}}/items?{INSTANTS}", None),
    ("GET", "/v3/users/{user_id}/export", None),
    ("GET", "/v3/installs/{install_id}/explain", None),
    ("POST", "/v3/installs/{install_id}/activate", None),
    ("PUT", "/v3/users/{user_id}/state", {"state": "disabled"}),
    ("PUT", "/v3/installs/{install_id}/state", {"state": "disabled"}),
    ("PUT", "/v3/users/{user_id}/external_id", {"external_id": "bob"}),
    ("DELETE", "/users/{user_id}", None),
]


@pytest.fixture
def asked(monkeypatch):
    """What the database was asked since this was last cleared."""
    statements = Counter()
    for name in ("all", "one", "run", "many"):
        plain = getattr(SqliteTransaction, name)

        def counted(self, statement, *values, plain=plain):
            statements[statement] += 1
            return plain(self, statement, *values)

        monkeypatch.setattr(SqliteTransaction, name, counted)
    return statements


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda part: part if isinstance(part, str) else "")
def test_a_foreign_id_is_answered_as_an_unknown_one_with_the_same_statements(world, asked, method, path, body):
    async def step(opened):
        mine, theirs = await opened.app(), await opened.app()
        bearer = {"authorization": f"Bearer {await opened.key(mine.app_id, *Scope)}"}
        pair = base64.b64encode(f"{theirs.app_id.hex()}:{theirs.app_secret}".encode()).decode()
        basic = {"authorization": f"Basic {pair}"}
        there = (await opened.platform.send("POST", "/sdk/installs", json.dumps(PHONE).encode(), basic)).json

        async def answer(user_id, install_id):
            content = b"" if body is None else json.dumps(body).encode()
            await asyncio.sleep(0)  # as between two requests: what changed is asked for once in a turn of the loop
            asked.clear()
            at = path.format(user_id=user_id, install_id=install_id)
            reply = await opened.platform.send(method, at, content, bearer)
            told = reply.json
            assert told.pop("ref") == reply.headers.pop("x-request-id")
            return reply.status, reply.headers, told, dict(asked)

        await answer(UNKNOWN, UNKNOWN)  # the key is looked up once a minute
        foreign = await answer(there["user_id"], there["install_id"])
        assert foreign == await answer(UNKNOWN, UNKNOWN)
        assert foreign[0] == 404
        assert foreign[3]

    world(step)

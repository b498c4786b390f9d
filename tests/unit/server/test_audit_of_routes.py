"""Every call that changes something leaves an entry in the audit log; a new row of the table fails here until then."""

from __future__ import annotations

import base64
import json

from unbroken.domain.ids import AppId
from unbroken.flow import audit_log
from unbroken.server import table
from unbroken.store import audit as rows

NOT_AUDITED = {"POST /sdk/payloads"}
"""Uploads say nothing of who is who."""

DEVICE = {"device": {"platform": "android", "screen_inches": 6.1}, "sdk": {"name": "x", "version": "1"}}
WINDOW = "from=2020-01-01T00:00:00Z&to=2040-01-01T00:00:00Z"


class Story:
    """Calls the platform's routes, and counts what each leaves."""

    def __init__(self, opened, app, key):
        self.context, self.api = opened.context, opened.platform
        self.key = {"Authorization": f"Bearer {key}"}
        basic = base64.b64encode(f"{app.app_id.hex()}:{app.app_secret}".encode()).decode()
        self.basic = {"Authorization": f"Basic {basic}"}
        self.left = {}

    async def count(self):
        return (await self.context.store.read(rows.head)).position

    async def send(self, route, path, body, headers):
        before = await self.count()
        method = route.partition(" ")[0]
        reply = await self.api.send(method, path, b"" if body is None else json.dumps(body).encode(), headers)
        assert reply.status < 300, (route, reply)
        self.left.setdefault(route, await self.count() - before)
        return reply.json if reply.body else None

    async def register(self):
        return await self.send("POST /sdk/installs", "/sdk/installs", DEVICE, self.basic)

    async def link(self, install, external_id):
        path = f"/v2/users/{install['install_id']}/link"
        return await self.send("POST /v2/users/{install_id}/link", path, {"external_id": external_id}, self.key)

    async def code(self, external_id):
        body = {"external_id": external_id}
        return (await self.send("POST /users/auth-code", "/users/auth-code", body, self.key))["authentication_code"]


def own(install):
    return {"Authorization": f"Bearer {install['user_token']['token']}"}


async def every_change(story):
    first, second = await story.register(), await story.register()
    linked = await story.link(first, "anna")
    user_id = linked["id"]
    await story.send("PUT /sdk/metadata", "/sdk/metadata", {"plan": "gold"}, own(first))
    code = await story.code("anna")
    await story.send("POST /sdk/link", "/sdk/link", {"authentication_code": code}, own(second))
    credential = {"Authorization": f"Bearer {second['install_credential']}"}
    renewed = await story.send("POST /sdk/tokens", "/sdk/tokens", None, credential)
    activate = "POST /v3/installs/{install_id}/activate"
    await story.send(activate, f"/v3/installs/{first['install_id']}/activate", None, story.key)
    for what, id_ in (("users", user_id), ("installs", first["install_id"])):
        route = f"PUT /v3/{what}/{{{what[:-1]}_id}}/state"
        for state in ("disabled", "enabled"):
            await story.send(route, f"/v3/{what}/{id_}/state", {"state": state}, story.key)
    rename = "PUT /v3/users/{user_id}/external_id"
    await story.send(rename, f"/v3/users/{user_id}/external_id", {"external_id": "anna-2"}, story.key)
    undo = "POST /v3/links/{link_id}/undo"
    third = await story.register()
    undone = (await story.link(third, "anna-2"))["link_id"]
    await story.send(undo, f"/v3/links/{undone}/undo", None, story.key)
    credential = {"Authorization": f"Bearer {renewed['install_credential']}"}
    await story.send("DELETE /sdk/install", "/sdk/install", None, credential)
    items = "DELETE /v3/users/{user_id}/items"
    await story.send(items, f"/v3/users/{user_id}/items?{WINDOW}", None, story.key)
    install = "DELETE /v3/installs/{install_id}"
    await story.send(install, f"/v3/installs/{third['install_id']}", None, story.key)
    await story.send("DELETE /users/{user_id}", f"/users/{user_id}", None, story.key)
    leaked = {"tokens": [await story.code("bert")]}
    await story.send("POST /security/leaked-tokens", "/security/leaked-tokens", leaked, {})


def test_every_route_that_changes_something_leaves_an_entry(world):
    async def step(opened):
        app = await opened.app()
        story = Story(opened, app, await opened.key(AppId(app.app_id)))
        await every_change(story)
        assert (await audit_log.verify(opened.context)).bad is None
        return story.left

    left = world(step)
    changing = {route.name for route in table.api() if route.method != "GET"}
    assert set(left) == changing - NOT_AUDITED
    assert {route: count for route, count in left.items() if count < 1} == {}

"""Credentials at the door: every kind at every kind of row, and headers that are not what they should be."""

from __future__ import annotations

import base64
import re

import pytest

from unbroken.credentials import Kind, Signed, write_opaque
from unbroken.domain.app import Scope
from unbroken.domain.ids import InstallId
from unbroken.domain.standing import Standing
from unbroken.flow import administer
from unbroken.server import table
from unbroken.server.route import Credential, Route

REGISTER = b'{"device":{"platform":"ios"},"sdk":{"name":"x","version":"1"}}'
WITH_CODE = REGISTER[:-1] + b',"authentication_code":"unb_code_x"}'
INSTALL = InstallId(b"i" * 12)


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def credentials(opened):
    app = await opened.app()
    context = opened.context
    chance = context.randomness.secret(32)
    signed = Signed(app.app_id, INSTALL, context.clock.now_ms() + 1000, next(iter(Standing)))
    return {
        "app secret": basic(app.app_id.hex(), app.app_secret),
        "install credential": "Bearer " + write_opaque(Kind.INSTALL, INSTALL, chance),
        "user token": "Bearer " + context.vault.sign(Kind.USER_TOKEN, signed),
        "API key": "Bearer " + await opened.key(app.app_id),
        "authentication code": "Bearer " + write_opaque(Kind.AUTH_CODE, INSTALL, chance),
        "link ticket": "Bearer " + context.vault.sign(Kind.LINK_TICKET, signed),
    }


ADMITTED = {
    "/installs": {"app secret"},
    "/link": {"API key"},
    "/renew": {"install credential"},
    "/own": {"user token"},
    "/either": {"API key", "user token"},
}


@pytest.mark.parametrize("path", ADMITTED)
def test_a_row_admits_its_kinds_and_refuses_every_other_by_name(world, path):
    async def step(opened):
        replies = {}
        for kind, header in (await credentials(opened)).items():
            replies[kind] = await opened.api.send("POST", path, REGISTER, {"Authorization": header})
        return replies

    for kind, reply in world(step).items():
        if kind in ADMITTED[path]:
            assert reply.status == 200, kind
        else:
            assert (reply.status, reply.code) == (403, "FORBIDDEN_CREDENTIAL"), kind
            assert kind in reply.json["message"]


@pytest.mark.parametrize("path", ADMITTED)
def test_without_a_credential_the_reply_says_how_to_show_one(send, path):
    reply = send("POST", path, REGISTER)
    assert (reply.status, reply.code) == (401, "UNAUTHENTICATED")
    assert reply.headers["www-authenticate"].startswith("Basic" if path == "/installs" else "Bearer")


@pytest.mark.parametrize(
    "header",
    ["", " ", "Bearer", "Bearer ", "Bearer a b", "Bearer é", "Bearer unb_user_", "Bearer unb_key_x", "Bearer unb_inst_",
     "Bearer nothing", "Digest x", "Basic", "Basic !", "Basic eA==", "Basic /w==", "Basic OjA=", "unb_key_x",
     "Bearer " + "x" * 10_000, "Bearer unb_key_" + "0" * 75],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/link", "/installs", "/own", "/renew"])
def test_a_malformed_credential_is_not_authenticated(send, path, header):
    reply = send("POST", path, REGISTER, {"Authorization": header})
    assert (reply.status, reply.code) == (401, "UNAUTHENTICATED")


def test_a_key_without_the_scope_is_told_which_it_lacks(world):
    async def step(opened):
        app = await opened.app()
        key = await opened.key(app.app_id, Scope.USER_READ)
        return await opened.api.send("POST", "/link", b"", {"Authorization": f"Bearer {key}"})

    reply = world(step)
    assert (reply.status, reply.code) == (403, "FORBIDDEN_SCOPE")
    assert "user.link" in reply.json["message"]


def test_a_disabled_app_is_refused_with_every_credential(world):
    async def step(opened):
        app = await opened.app()
        key = await opened.key(app.app_id)
        await administer.set_app_disabled(opened.context, app.app_id, True)
        secret = basic(app.app_id.hex(), app.app_secret)
        return [
            await opened.api.send("POST", "/link", b"", {"Authorization": f"Bearer {key}"}),
            await opened.api.send("POST", "/installs", REGISTER, {"Authorization": secret}),
        ]

    for reply in world(step):
        assert (reply.status, reply.code) == (403, "APP_DISABLED")


def test_a_code_stands_for_the_app_secret_but_not_beside_it(world):
    async def step(opened):
        secret = (await credentials(opened))["app secret"]
        return (
            await opened.api.send("POST", "/installs", WITH_CODE),
            await opened.api.send("POST", "/installs", WITH_CODE, {"Authorization": secret}),
        )

    alone, both = world(step)
    assert alone.status == 200
    assert (both.status, both.paths) == (400, ["authentication_code"])


def test_the_credential_is_asked_before_the_body(send):
    assert send("POST", "/link", b"{", {"Content-Type": "text/plain"}).status == 401


@pytest.mark.parametrize(
    "bad",
    [
        {"credential": None},
        {"credential": Credential.API_KEY},
        {"credential": Credential.USER_TOKEN, "scope": Scope.USER_READ},
    ],
)
def test_a_row_that_does_not_say_who_may_call_cannot_be_made(bad):
    given = {"method": "GET", "path": "/x", "handler": None, "scope": None, "summary": "", "reply": None, **bad}
    with pytest.raises(ValueError, match="/x"):
        Route(**given)


@pytest.mark.parametrize("scope", Scope)
def test_a_key_of_one_scope_may_make_the_calls_of_that_scope_and_no_other(world, scope):
    async def step(opened):
        app = await opened.app()
        bearer = {"Authorization": f"Bearer {await opened.key(app.app_id, scope)}"}
        rows = [route for route in table.api() if route.scope is not None]
        replies = {}
        for route in rows:
            path = re.sub(r"\{\w+\}", "69236a2e5f3c1b0a9d8e7f60", route.path)
            replies[route.name] = await opened.platform.send(route.method, path, b"{}", bearer)
        return {route.name: route.scope for route in rows}, replies

    scopes, replies = world(step)
    assert len(scopes) > 15
    refused = {name for name, reply in replies.items() if reply.status == 403}
    assert refused == {name for name, needed in scopes.items() if needed is not scope}
    assert {replies[name].code for name in refused} == {"FORBIDDEN_SCOPE"}
    assert {replies[name].status for name in replies.keys() - refused} <= {200, 400, 404}
